package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/vaultfleet/reconciler/examples"
)

// The files of the fleet repo that the story changes.
const (
	fleetFile       = "fleet.yaml"
	clusterFile     = "clusters/" + Cluster + "/cluster.yaml"
	environmentFile = "environments/production.yaml"
)

// author makes the commits.
const author = "ada"

// Edit is a change of one place in a file of the fleet repo.
type Edit struct {
	File     string
	Old, New string
}

// layRepo makes the fleet repo, which holds the example, fit for this machine and
// not yet committed.
func (s *Stage) layRepo() error {
	branch := git.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName("main")}
	repo, err := git.PlainInitWithOptions(s.Repo, &git.PlainInitOptions{InitOptions: branch})
	if err != nil {
		return fmt.Errorf("make the fleet repo: %w", err)
	}
	settings, err := repo.Config()
	if err != nil {
		return err
	}
	settings.User.Name, settings.User.Email = author, author+"@example.com" // for whoever goes on with git
	if err := repo.SetConfig(settings); err != nil {
		return err
	}
	if err := os.CopyFS(s.Repo, examples.FleetRepo()); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(s.Repo, "clusters/lab")); err != nil {
		return err
	}
	if err := s.Write("clusters/"+Cluster+"/tls/ca.crt", string(s.ca.PEM)); err != nil {
		return err
	}
	for _, n := range s.Fleet.Nodes {
		cert, key, err := s.certify(n)
		if err != nil {
			return err
		}
		tls := "clusters/" + Cluster + "/tls/" + n.Name
		if err := errors.Join(s.Write(tls+".crt", string(cert)), s.Write(tls+".key.age", string(key))); err != nil {
			return err
		}
	}
	return s.Edit(s.here()...)
}

// here are the edits that make the example a fleet on this machine.
func (s *Stage) here() []Edit {
	edits := []Edit{
		{fleetFile, "https://releases.hashicorp.com", strconv.Quote(s.source)},
		{fleetFile, "port: 22}", "port: 2222}"},
		{fleetFile, "rollout:\n  rings:\n    - {environment: lab, soak: 2h}\n    - {environment: production, at_once: 2}\n", ""},
		{clusterFile, "mode: observe", "mode: enforce\ndrift: {after: 2s}"}, // who watches does not wait for a minute
		{clusterFile, ", ssh: {address: eu-2.mgmt.internal}", ""},
		{clusterFile, "rollout: {approval: none, pause: 30s}\n", ""},
		{clusterFile, "0.0.0.0:8200", "{address}:8200"},
		{environmentFile, "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /var/log/vault/second.log}}"},
		{clusterFile, "rules: production", "rules: learning"}, // which lets nodes live on loopback
	}
	for i, n := range s.Fleet.Nodes {
		edits = append(edits, Edit{clusterFile, fmt.Sprintf("10.1.0.%d", 11+i), n.Address})
	}
	return edits
}

// Write writes a file of the checkout.
func (s *Stage) Write(path, text string) error {
	path = filepath.Join(s.Repo, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Edit changes files of the checkout. A place that is not there, or is there
// twice, is an error.
func (s *Stage) Edit(edits ...Edit) error {
	for _, e := range edits {
		body, err := os.ReadFile(filepath.Join(s.Repo, e.File))
		if err != nil {
			return err
		}
		if n := strings.Count(string(body), e.Old); n != 1 {
			return fmt.Errorf("edit %s: %q is there %d times, not once", e.File, e.Old, n)
		}
		if err := s.Write(e.File, strings.Replace(string(body), e.Old, e.New, 1)); err != nil {
			return err
		}
	}
	return nil
}

// Commit commits all of the checkout, to the branch that the reconciler follows.
func (s *Stage) Commit(subject string) error {
	repo, err := git.PlainOpen(s.Repo)
	if err != nil {
		return err
	}
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	if err := tree.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		return fmt.Errorf("commit %q: %w", subject, err)
	}
	by := &object.Signature{Name: author, Email: author + "@example.com", When: time.Now()}
	if _, err := tree.Commit(subject, &git.CommitOptions{Author: by}); err != nil {
		return fmt.Errorf("commit %q: %w", subject, err)
	}
	return nil
}
