// Package health tells over HTTP whether the daemon goes on, and whether every
// fleet has a commit in force.
//
// It knows the two questions and how they are answered. It must not know how
// either is found out, nor what a fleet is: it is given words.
//
//	h := health.New(health.Ports{Late: late, Waiting: waiting})
package health
