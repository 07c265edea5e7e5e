// Package report puts plans, results and observations into words: text for a
// terminal, JSON for machines, markdown for a pull request, progress while a
// wave is under way, and the exit code.
//
// Whoever reads it at three in the morning must see at once what is wrong,
// what will happen and what to do, so the worst comes first, the same change
// on many nodes is one row, and every refusal says what lifts it. It knows the
// words of [diff] and [apply]; it must not judge, look, or change anything. All
// that comes from a spec, a node or a person is foreign text: control
// characters are made visible and lines are capped before they are shown.
//
//	clusters := []report.Cluster{{Name: "prod-eu", Have: have, Plan: plan}}
//	report.Text(os.Stdout, report.Options{Width: 100}, clusters)
//	os.Exit(report.Code(clusters, report.Asked{}))
package report
