package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

func newCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check this host and every node: settings, state, keys, repo, SSH, host key, sudo, Vault",
		Long: "Go through all that a run needs and say, for each thing that is missing, what mends it. Nothing is\n" +
			"changed on any node.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd.Context()) },
	}
}

// finding is one thing that was checked.
type finding struct {
	What string `json:"what"`           // "state", "repo", "prod-eu/eu-1"
	OK   bool   `json:"ok"`             //
	Why  string `json:"why,omitempty"`  // not
	Mend string `json:"mend,omitempty"` // the command or the act that does
	Node bool   `json:"node,omitempty"` // of a node, and not of this host
}

// checkDocument is the JSON of check.
type checkDocument struct {
	Schema        string    `json:"schema"`
	FormatVersion string    `json:"formatVersion"`
	Findings      []finding `json:"findings"`
}

func (a *app) check(ctx context.Context) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	h, err := a.host()
	if err != nil {
		return err
	}
	if err := h.ownState(); err != nil {
		return err
	}
	findings := []finding{{What: h.settings.File, OK: true}}
	findings = append(findings, a.checkHost(ctx, h)...)
	fleets, err := a.open(ctx, h)
	findings = append(findings, found("fleet", err, "reconciler validate; or mend repo and branch under fleets in "+h.settings.File))
	if err == nil {
		for _, e := range a.leftOut {
			findings = append(findings, found("fleet", e, "mend repo and branch under fleets in "+h.settings.File))
		}
		seen, err := a.checkNodes(ctx, h, fleets)
		if err != nil {
			return err
		}
		findings = append(findings, seen...)
	}
	return a.tellFindings(findings)
}

func found(what string, err error, mend string) finding {
	if err == nil {
		return finding{What: what, OK: true}
	}
	return finding{What: what, Why: err.Error(), Mend: mend}
}

// checkHost goes through what lies on this machine.
func (a *app) checkHost(ctx context.Context, h host) []finding {
	w := &world{host: h}
	out := []finding{
		found("identities and secrets", w.openKeys(), "correct identities, holders, secrets and key_stores in "+h.settings.File),
		readable("ssh.key", h.settings.SSH.Key),
		readable("trust.known_hosts", h.settings.Trust.KnownHosts),
	}
	if len(h.settings.Trust.Networks) == 0 {
		out = append(out, finding{What: "trust.networks", Why: "no network is named, so no node may be dialled", Mend: "add the nodes' networks in " + h.settings.File})
	}
	for _, s := range w.keys.Stores {
		out = append(out, found("key store "+s.Name(), s.Check(ctx), "mount it, and make it writable; only for a store that is new: mkdir -m 700 "+s.Name()))
	}
	for _, name := range h.settings.SinkNames() {
		for _, file := range h.settings.Notify[name].Files() {
			out = append(out, readable("notify."+name, file))
		}
	}
	s, err := h.openStore()
	if err == nil {
		err = s.Writable(ctx)
	}
	return append(out, found("state "+h.settings.State, err, "make it writable, or name another folder: state in "+h.settings.File))
}

func readable(what, path string) finding {
	if path == "" {
		return finding{What: what, Why: "it is not set", Mend: "set it in reconciler.yaml"}
	}
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return found(what+" "+path, err, "make the file, readable by this account")
}

// checkNodes looks at every node, and turns each Unknown into what mends it.
func (a *app) checkNodes(ctx context.Context, h host, fleets []opened) ([]finding, error) {
	h.judgeAll(fleets)
	chosen, err := a.chosen(ctx, h, fleets)
	if err != nil {
		return nil, err
	}
	var whole []wanted
	var broken []desired.Broken
	for _, c := range chosen {
		whole, broken = append(whole, c.whole...), append(broken, c.broken...)
	}
	w, err := newWorld(h)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var out []finding
	for _, b := range brokenClusters(broken) {
		for _, p := range b.Broken {
			out = append(out, finding{What: b.Name, Why: p.Place.String() + ": " + p.Text, Mend: p.Hint})
		}
	}
	clusters := make([][]finding, len(whole))
	clustersAtOnce(len(whole), func(i int) {
		c := w.look(ctx, whole[i])
		if c.Err != nil {
			clusters[i] = []finding{found(c.Name, c.Err, "reconciler why "+c.Name)}
			return
		}
		for _, n := range c.Have {
			if a.matchesNode(n.Name) {
				clusters[i] = append(clusters[i], w.checkNode(c.Name, n)...)
			}
		}
	})
	for _, c := range clusters {
		out = append(out, c...)
	}
	return out, ctx.Err()
}

func (w *world) checkNode(cluster string, n actual.Node) []finding {
	what := cluster + "/" + n.Name
	var out []finding
	for _, phase := range actual.Phases() {
		if why, ok := n.Unknown[phase]; ok {
			out = append(out, finding{What: what + " " + string(phase), Why: strings.TrimPrefix(why, string(phase)+": "), Mend: w.mend(cluster, n.Name, phase), Node: true})
		}
	}
	if n.Machine != nil && !n.Machine.Root && n.Unknown[actual.PhaseSudo] == "" {
		out = append(out, finding{What: what + " " + string(actual.PhaseSudo), Why: "the look had no root's eyes", Mend: w.mend(cluster, n.Name, actual.PhaseSudo), Node: true})
	}
	if len(out) == 0 {
		return []finding{{What: what, OK: true, Node: true}}
	}
	return out
}

// mend is the command that mends a phase of a look, with this node's names in
// it where one command does.
func (w *world) mend(cluster, node string, phase actual.Phase) string {
	t, err := w.target(cluster, node)
	if err != nil {
		return report.Mend(phase, cluster)
	}
	switch phase {
	case actual.PhaseTCP:
		return "nc -vz " + t.Address + " " + strconv.Itoa(t.Port) + "; bring the machine up, or open its SSH port to this host"
	case actual.PhaseHostKey:
		return fmt.Sprintf("ssh-keyscan -p %d %s, compare it with the machine's console, then add it to %s", t.Port, t.Address, w.settings.Trust.KnownHosts)
	case actual.PhaseAuth:
		return fmt.Sprintf("ssh-copy-id -f -i %s.pub -p %d %s@%s", w.settings.SSH.Key, t.Port, t.User, t.Address)
	case actual.PhaseSudo:
		return fmt.Sprintf("on %s: echo '%s %s' > /etc/sudoers.d/reconciler", node, t.User, nodes.SudoersLine)
	case actual.PhaseVaultAPI:
		name, _, _ := net.SplitHostPort(t.APIAddress)
		return fmt.Sprintf("on %s: VAULT_ADDR=https://%s vault status; its certificate must name %s and be signed by the spec's ca", node, t.APIAddress, cmp.Or(t.ServerName, name))
	case actual.PhaseDNS, actual.PhaseTrust, actual.PhaseParse:
	}
	return report.Mend(phase, cluster)
}

func (a *app) tellFindings(findings []finding) error {
	code := report.Done
	for _, f := range findings {
		switch {
		case f.OK:
		case f.Node:
			code = report.Worst(code, report.Unobserved)
		default:
			code = report.Worst(code, report.Error)
		}
	}
	var err error
	if a.output == "json" {
		err = report.JSON(a.stdout, checkDocument{"reconciler/check", "1.0", findings})
	} else {
		var lines []report.Checked
		for _, f := range findings {
			if !f.OK || !a.quiet {
				lines = append(lines, report.Checked{What: f.What, OK: f.OK, Why: f.Why, Mend: f.Mend})
			}
		}
		err = report.Checks(a.stdout, a.layout(a.stdout), lines)
	}
	return errors.Join(err, ended(code))
}
