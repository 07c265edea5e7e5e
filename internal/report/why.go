package report

import (
	"fmt"
	"io"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Why writes why one cluster is not converged and what would lift it: each
// reason with its way out, what was tried, and what people have said.
func Why(w io.Writer, o Options, c Cluster) error {
	p := &page{w: w, o: o}
	state, s := headline(c)
	p.heading(c, state, s)
	for _, b := range c.Broken {
		p.wrapped("  invalid  ", red, b.Error())
	}
	if c.Err != nil {
		p.trouble(c.Err)
	}
	p.blocks(c.urgent(), red)
	p.blocks(c.blocked(), yellow)
	p.blocks(c.later(), faint)
	p.blocks(observed(c), yellow)
	for _, u := range unseen(c) {
		p.wrapped("  ? ", yellow, u.words(c.size()))
		p.wrapped("    lift:  ", cyan, Mend(actual.Phase(u.phase), c.Name))
	}
	p.waits(c.Plan.Waits)
	if n := len(c.steps()); n > 0 && len(c.Plan.Blocks) == 0 {
		p.wrapped("  to do    ", plain, fmt.Sprintf("%s in %s; reconciler plan --cluster %s shows them, reconciler apply --cluster %s does them",
			count(n, "step"), count(len(c.Plan.Waves), "wave"), c.Name, c.Name))
	}
	p.notes(c)
	for _, words := range tried(c.Memory) {
		p.wrapped("  tried    ", faint, words)
	}
	for _, words := range said(c.Memory) {
		p.wrapped("  said     ", faint, words)
	}
	p.line("  %s", p.paint(faint, standing(c)))
	return p.err
}

// tried are the attempts that did not come to their goal.
func tried(m diff.Memory) (lines []string) {
	for _, t := range m.Tries {
		if !bad(t.Outcome) {
			continue
		}
		words := fmt.Sprintf("%s on %s: %s, attempt %d at %s", t.Action, t.Node, t.Outcome, t.Count, t.At.UTC().Format(time.RFC3339))
		if t.Outcome == diff.OutcomeIntent {
			words += "; its outcome was never written down, the next look tells"
		}
		if t.Evidence != "" {
			words += ": " + t.Evidence
		}
		lines = append(lines, words)
	}
	return lines
}

// said is what people allowed and forbade.
func said(m diff.Memory) (lines []string) {
	for _, l := range m.Leaves {
		where := l.Node
		if where == "" {
			where = "the cluster"
		}
		words := fmt.Sprintf("%s for %s by %s at %s", l.Kind, where, l.By, l.At.UTC().Format(time.RFC3339))
		if !l.Until.IsZero() {
			words += " until " + l.Until.UTC().Format(time.RFC3339)
		}
		if l.Reason != "" {
			words += ": " + l.Reason
		}
		lines = append(lines, words)
	}
	return lines
}

// standing is when the cluster was last what a spec said.
func standing(c Cluster) string {
	good := c.Memory.Good
	switch {
	case good.Digest == "":
		return "it was never seen in sync"
	case good.Since.IsZero():
		return "it was in sync with commit " + clean(shorter(good.Commit)) + ", and is not any more"
	case good.Digest == c.Plan.Digest:
		return "in sync with this very spec first at " + good.Since.UTC().Format(time.RFC3339)
	}
	return "last in sync with commit " + clean(shorter(good.Commit)) + " at " + good.Since.UTC().Format(time.RFC3339)
}

// Mend is what to do where a look ended in a phase.
func Mend(phase actual.Phase, cluster string) string {
	switch phase {
	case actual.PhaseDNS:
		return "make the node's name resolve here, or put its IP address into ssh.address of the spec"
	case actual.PhaseTCP:
		return "bring the machine up, or open its SSH port to this host"
	case actual.PhaseTrust:
		return "allow it in reconciler.yaml under trust, or correct the address in the spec"
	case actual.PhaseHostKey:
		return "compare the key with the machine's console, then add it to the file of trust.known_hosts: ssh-keyscan ADDRESS"
	case actual.PhaseAuth:
		return "add the public key of ssh.key to ~/.ssh/authorized_keys of the SSH user on the node"
	case actual.PhaseSudo:
		return "add the sudoers line of docs/operations.md on the node"
	case actual.PhaseParse:
		return "reconciler check --cluster " + cluster + " -v shows what the node said; its shell profile must print nothing"
	case actual.PhaseVaultAPI:
		return "see whether Vault answers on the node: VAULT_ADDR=… vault status; its certificate must be signed by the spec's ca and name tls_server_name"
	}
	return "reconciler check --cluster " + cluster
}
