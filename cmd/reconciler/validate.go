package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func newValidate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a fleet repo, offline",
		Long: "Check every file of a fleet repo, by default the current folder, and print all that is wrong\n" +
			"as FILE:LINE:COLUMN. Nothing is changed and no node is touched. Exits 1 on an error.",
		Args: arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.folder(args)
			if err != nil {
				return err
			}
			return a.validate(dir)
		},
	}
}

// folder is the checkout that a command works on: its argument, --fleet, or
// the current folder.
func (a *app) folder(args []string) (string, error) {
	switch {
	case len(args) > 0 && a.fleet != "":
		return "", usage("name one of the two", "both a folder and --fleet are given")
	case len(args) > 0:
		return args[0], nil
	case a.fleet != "":
		return a.fleet, nil
	}
	return ".", nil
}

func (a *app) validate(dir string) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	fsys, err := openFolder(dir)
	if err != nil {
		return err
	}
	fleet := desired.Load(fsys, loadOptions())
	trusted, err := a.holdToTrust(&fleet)
	if err != nil {
		return err
	}
	v := validation{
		Schema: "reconciler/validation", FormatVersion: 1, Fleet: fleet.Name,
		Clusters: []string{}, Broken: []string{}, Problems: []foundProblem{},
	}
	v.fill(a, dir, fleet)
	v.Trust = trusted
	if a.output == "json" {
		err = v.writeJSON(a.stdout)
	} else {
		err = v.writeText(a)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if v.Errors > 0 {
		return &exitError{code: exitFailed, err: fmt.Errorf("the fleet repo has %s", count(v.Errors, "error"))}
	}
	return nil
}

// holdToTrust adds what the reconciler.yaml of this machine, where there is
// one, does not allow; true says that there is one.
func (a *app) holdToTrust(fleet *desired.Fleet) (bool, error) {
	h, there, err := a.hostIfAny()
	if err != nil || !there {
		return false, err
	}
	if err := h.policy.Releases(fleet.Releases.Source); err != nil && fleet.Releases.Source != "" {
		fleet.Problems = append(fleet.Problems, desired.Problem{
			Place: desired.Place{File: "fleet.yaml"}, Severity: desired.SeverityError, Rule: trustRule, Text: err.Error(),
		})
	}
	for _, c := range fleet.Clusters {
		fleet.Problems = append(fleet.Problems, h.policy.Cluster(c)...)
	}
	*fleet = h.judged(*fleet)
	return true, nil
}

// trustRule is the rule of problems that reconciler.yaml makes.
const trustRule = "trust"

// validation is what validate found; its JSON is a promise.
type validation struct {
	Schema        string         `json:"schema"`
	FormatVersion int            `json:"formatVersion"`
	Trust         bool           `json:"trust"` // held to the trust settings of a reconciler.yaml as well
	Fleet         string         `json:"fleet"`
	Clusters      []string       `json:"clusters"` // free of errors
	Broken        []string       `json:"broken"`
	Nodes         int            `json:"nodes"` // of the clusters free of errors
	Errors        int            `json:"errors"`
	Warnings      int            `json:"warnings"`
	Problems      []foundProblem `json:"problems"`
}

type foundProblem struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity string   `json:"severity"`
	Rule     string   `json:"rule,omitempty"`
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"`
	Clusters []string `json:"clusters"` // that it takes out; empty: all, or none that is there

	shown string
}

func (v *validation) fill(a *app, dir string, fleet desired.Fleet) {
	for _, c := range fleet.Clusters {
		if a.matches(c.Name) {
			v.Clusters = append(v.Clusters, c.Name)
			v.Nodes += len(c.Nodes)
		}
	}
	for _, b := range fleet.Broken {
		if a.matches(b.Name) {
			v.Broken = append(v.Broken, b.Name)
		}
	}
	seen := map[string]int{}
	for _, p := range fleet.Problems {
		if p.Cluster != "" && !a.matches(p.Cluster) {
			continue
		}
		cluster := p.Cluster
		p.Cluster = ""
		if p.Rule != trustRule || p.Place.File == "fleet.yaml" {
			p.Place.File = shownPath(dir, p.Place.File) // else it is reconciler.yaml's own path
		}
		key := p.Place.String() + "\x00" + string(p.Severity) + "\x00" + p.Text
		at, told := seen[key]
		if !told {
			at = len(v.Problems)
			seen[key] = at
			v.Problems = append(v.Problems, asFound(p))
			if p.Severity == desired.SeverityError {
				v.Errors++
			} else {
				v.Warnings++
			}
		}
		if cluster != "" {
			v.Problems[at].Clusters = append(v.Problems[at].Clusters, cluster)
		}
	}
}

func asFound(p desired.Problem) foundProblem {
	return foundProblem{
		File: p.Place.File, Line: p.Place.Line, Column: p.Place.Column, Severity: string(p.Severity),
		Rule: p.Rule, Text: p.Text, Hint: p.Hint, Clusters: []string{}, shown: p.Place.String(),
	}
}

// shownPath is a repo path as the caller's editor and terminal find it.
func shownPath(dir, file string) string {
	if dir = filepath.ToSlash(dir); dir == "." {
		return file
	}
	return path.Join(dir, file)
}

// matches says whether a cluster is among those asked for.
func (a *app) matches(cluster string) bool {
	if a.cluster == "" {
		return true
	}
	ok, _ := path.Match(a.cluster, cluster) // the pattern was checked with the flags
	return ok
}

func (v *validation) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (v *validation) writeText(a *app) error {
	colored := a.colored(a.stdout)
	for _, p := range v.Problems {
		if a.quiet && p.Severity != string(desired.SeverityError) {
			continue
		}
		if _, err := fmt.Fprintln(a.stdout, p.line(colored)); err != nil {
			return err
		}
	}
	if a.quiet {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, v.summary())
	return err
}

func (p foundProblem) line(colored bool) string {
	severity := p.Severity + ":"
	if colored {
		color := "31"
		if p.Severity != string(desired.SeverityError) {
			color = "33"
		}
		severity = "\x1b[" + color + "m" + severity + "\x1b[0m"
	}
	line := p.shown + ": " + severity + " " + p.Text
	if p.Rule != "" {
		line += " (rule " + p.Rule + ")"
	}
	if p.Hint != "" {
		line += "; " + p.Hint
	}
	return line
}

func (v *validation) summary() string {
	name := v.Fleet
	if name == "" {
		name = "fleet"
	}
	var clusters []string
	if len(v.Clusters) > 0 || len(v.Broken) == 0 {
		clusters = append(clusters, count(len(v.Clusters), "good cluster")+" with "+count(v.Nodes, "node"))
	}
	if len(v.Broken) > 0 {
		clusters = append(clusters, count(len(v.Broken), "broken cluster"))
	}
	return name + ": " + strings.Join(clusters, ", ") + fmt.Sprintf("; %s, %s", count(v.Errors, "error"), count(v.Warnings, "warning"))
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
