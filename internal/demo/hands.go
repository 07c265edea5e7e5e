package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// What people do past the product: on a machine, and with their shares.

// editNode is somebody who edits a file on a node.
func (s *story) editNode(node, path, before, after string) step {
	return func(context.Context) error {
		s.command(fmt.Sprintf("ssh %s sed -i 's/%s/%s/' /%s", node, before, after, path))
		return s.Rewrite(node, path, before, after)
	}
}

// Rewrite changes one place of a file on a machine, as somebody with an editor does:
// the file stays whose it is.
func (s *Stage) Rewrite(node, path, before, after string) error {
	file := filepath.Join(s.Node(node).Root, path)
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(body), before); n != 1 {
		return fmt.Errorf("%s is %d times in /%s of %s, not once", before, n, path, node)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(body), before, after, 1)), 0o640)
}

// sealLeader is a person who makes a root token with their shares and seals the
// node that leads.
func (s *story) sealLeader(ctx context.Context) error {
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	shares, err := s.Shares()
	if err != nil {
		return err
	}
	root, err := s.ask.GenerateRoot(ctx, leader.Address, shares)
	if err != nil {
		return err
	}
	s.command("vault operator generate-root …")
	s.command(fmt.Sprintf("vault operator seal -address=https://%s:8200   # %s, the leader", leader.Address, leader.Name))
	if err := root.Ask(ctx, http.MethodPut, leader.Address, "sys/seal", nil, nil); err != nil {
		return err
	}
	s.seen.led = leader.Name
	return s.until(ctx, "another leader", s.serves(len(nodes())-1))
}

// unseal is the person who opens the node again.
func (s *story) unseal(ctx context.Context) error {
	shares, err := s.Shares()
	if err != nil {
		return err
	}
	n := s.Node(s.seen.led)
	s.command(fmt.Sprintf("vault operator unseal -address=https://%s:8200   # with a threshold of %s's shares", n.Address, Holder))
	return s.ask.Unseal(ctx, n.Address, shares)
}

// Shares are the holder's, from their bundle in the first key store.
func (s *Stage) Shares() ([]string, error) {
	sealed, err := os.ReadFile(filepath.Join(s.at("keys-1"), Cluster, "holders", Holder+".age"))
	if err != nil {
		return nil, err
	}
	plain, err := s.Holder.Decrypt(sealed)
	if err != nil {
		return nil, err
	}
	var bundle struct {
		Body struct {
			Shares []string `json:"unseal_shares"`
		}
	}
	err = json.Unmarshal(plain, &bundle)
	return bundle.Body.Shares, err
}
