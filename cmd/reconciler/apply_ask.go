package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// ask shows the plan and asks for a yes. False: there is nothing to do, or the
// answer was no.
func (r *applying) ask(ctx context.Context, w *world, whole []wanted, broken []desired.Broken, limits *report.Document) (bool, error) {
	clusters := make([]report.Cluster, len(whole))
	clustersAtOnce(len(whole), func(i int) { clusters[i] = w.look(ctx, whole[i]) })
	if err := ctx.Err(); err != nil {
		return false, err
	}
	work := false
	for i, c := range clusters {
		_, next := c.Plan.Next()
		work = work || next
		if limits != nil && c.Err == nil {
			clusters[i].Err = limits.Covers(c.Plan)
		}
	}
	if stale(clusters) {
		work = false
	}
	clusters = append(clusters, brokenClusters(broken)...)
	if err := report.Text(r.stdout, r.layout(r.stdout), clusters); err != nil {
		return false, err
	}
	if !work {
		return false, ended(acted(clusters))
	}
	fmt.Fprint(r.stdout, "\nDo this? Only yes will do: ")
	return r.agreed(ctx)
}

// agreed reads the answer; an interrupt is no answer.
func (r *applying) agreed(ctx context.Context) (bool, error) {
	answer, err := r.answer(ctx)
	if err == nil && answer != "yes" {
		fmt.Fprintln(r.stdout, "Nothing was done.")
	}
	return err == nil && answer == "yes", err
}

// answer reads one line from whoever sits at standard input.
func (a *app) answer(ctx context.Context) (string, error) {
	answer := make(chan string, 1)
	go func() { // ends with the answer, or with the program
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case text := <-answer:
		return text, nil
	}
}
