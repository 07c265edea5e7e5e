package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/ceremony"
	"github.com/vaultfleet/reconciler/internal/report"
)

func newKeys(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "The keys of clusters: what lies where, and the proof that people can read them",
		Args:  arguments(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var identity string
	confirm := &cobra.Command{
		Use:   "confirm CLUSTER --identity FILE",
		Short: "Prove that your identity opens your share bundle in every key store",
		Long: "Decrypt your share bundle in every key store with your own age identity, and check it against what is\n" +
			"stored. The identity is read here and kept nowhere. Afterwards the root token of the birth may go.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if identity == "" {
				return usage("add --identity FILE, your age identity", "whose shares are to be confirmed?")
			}
			return a.confirmKeys(cmd.Context(), args[0], identity)
		},
	}
	confirm.Flags().StringVar(&identity, "identity", "", "`FILE` with your age identity")
	list := &cobra.Command{
		Use:   "list",
		Short: "List what each key store holds of each cluster; no content",
		Args:  arguments(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.listKeys(cmd.Context()) },
	}
	cmd.AddCommand(confirm, list)
	return cmd
}

func (a *app) confirmKeys(ctx context.Context, cluster, identity string) error {
	h, err := a.host()
	if err != nil {
		return err
	}
	fleets, err := a.open(ctx, h)
	if err != nil {
		return err
	}
	fleet, _ := ofCluster(fleets, cluster)
	want, ok := fleet.Cluster(cluster)
	if !ok {
		return usage("there are: "+strings.Join(clusterNames(fleet.Fleet), ", "), "the fleet has no valid cluster %q", cluster)
	}
	w, err := newWorld(h)
	if err != nil {
		return err
	}
	defer w.close()
	c, err := w.ceremony(cluster)
	if err != nil {
		return err
	}
	holder, err := c.Confirm(ctx, want, identity)
	if err != nil {
		return err
	}
	a.say("Confirmed: %s can open the shares of %s in every key store. Next: reconciler apply --cluster %s revokes the root token.", holder, cluster, cluster)
	return nil
}

// keysDocument is the JSON of keys list.
type keysDocument struct {
	Schema        string             `json:"schema"`
	FormatVersion string             `json:"formatVersion"`
	Holdings      []ceremony.Holding `json:"holdings"`
}

func (a *app) listKeys(ctx context.Context) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	h, err := a.host()
	if err != nil {
		return err
	}
	stores, err := ceremony.Folders(h.settings.KeyStores)
	if err != nil {
		return err
	}
	c, err := ceremony.New(ceremony.Ports{}, ceremony.Keys{Stores: stores, Holders: h.settings.Holders})
	if err != nil {
		return err
	}
	var holdings []ceremony.Holding
	failed := 0
	for _, x := range c.Show(ctx) {
		if x.Error != "" {
			failed++
		}
		if x.Cluster == "" || a.matches(x.Cluster) {
			holdings = append(holdings, x)
		}
	}
	if a.output == "json" {
		err = report.JSON(a.stdout, keysDocument{"reconciler/keys", "1.0", append([]ceremony.Holding{}, holdings...)})
	} else {
		err = report.Table(a.stdout, a.layout(a.stdout), rowsOf(holdings))
	}
	if err != nil {
		return fmt.Errorf("write the list of keys: %w", err)
	}
	if failed > 0 {
		return &exitError{code: exitFailed, err: fmt.Errorf("%s could not be read", count(failed, "key store"))}
	}
	return nil
}

func rowsOf(holdings []ceremony.Holding) [][]string {
	rows := [][]string{{"KEY STORE", "CLUSTER", "HOLDS"}}
	for _, x := range holdings {
		what := strings.Join(x.Names, " ")
		switch {
		case x.Error != "":
			what = "error: " + x.Error
		case x.Cluster == "":
			what = "nothing"
		}
		rows = append(rows, []string{x.Store, x.Cluster, what})
	}
	return rows
}
