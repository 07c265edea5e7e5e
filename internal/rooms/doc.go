// Package rooms holds no code: its tests keep the rooms of this repository
// apart, as docs/design.md has them. They say which room may know which, and
// that what plans is pure: the same commit and the same look give the same
// plan on every machine and on every day.
package rooms
