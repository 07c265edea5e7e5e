package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/lease"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// epochMost is above every epoch that a node script takes: 18 digits. A node
// that tells of one would leave no room for the next.
const epochMost = 999_999_999_999_999_999

func newTakeover(a *app) *cobra.Command {
	t := &takeover{app: a}
	cmd := &cobra.Command{
		Use:   "takeover CLUSTER --reason TEXT",
		Short: "Make the nodes of a cluster obey this installation, once the other is stopped for good",
		Long: "For a state folder that was lost or is older than the nodes, and for a reconciler that moved: look at\n" +
			"every node, go above the highest epoch that one of them saw, and have all that are reached obey this\n" +
			"installation. Nothing else is changed on them, and Vault is not asked anything.\n\n" +
			"On a terminal the cluster's name is asked for; elsewhere --yes is needed.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.cluster = args[0]
			return t.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&t.reason, "reason", "", "why, for whoever reads it later")
	cmd.Flags().BoolVar(&t.yes, "yes", false, "do not ask")
	return cmd
}

// takeover is one run of the command.
type takeover struct {
	*app
	cluster string
	reason  string
	yes     bool
	of      string // its fleet, as the history has it

	world *world
	nodes []obedience
}

// obedience is whom one node obeys.
type obedience struct {
	target  actual.Target
	fence   *actual.Fence // nil: nobody, or what it remembers is damaged
	unknown string        // why it could not be read; empty: it was
	err     error         // of the takeover
}

func (t *takeover) run(ctx context.Context) error {
	if err := t.check(); err != nil {
		return err
	}
	h, err := t.host()
	if err != nil {
		return err
	}
	want, err := t.wanted(ctx, h)
	if err != nil {
		return err
	}
	if t.world, err = newWorld(h); err != nil {
		return err
	}
	defer t.world.close()
	if err := t.world.store.Writable(ctx); err != nil {
		return err
	}
	if err := t.look(ctx, want); err != nil {
		return err
	}
	t.show()
	highest, err := t.highest()
	if err != nil {
		return err
	}
	if agreed, err := t.agreed(ctx); err != nil || !agreed {
		return err
	}
	epoch, release, err := t.raise(ctx, highest)
	if err != nil {
		return err
	}
	defer release()
	t.take(ctx, epoch)
	t.note(h)
	return t.tell(epoch)
}

// check refuses what could only fail later.
func (t *takeover) check() error {
	if err := t.formats("text"); err != nil {
		return err
	}
	switch {
	case t.reason == "":
		return usage(`add --reason "why"`, "a takeover needs a reason: two installations must not act on one cluster")
	case t.node != "":
		return usage("leave out --node", "single nodes are not taken over: a cluster obeys one installation")
	case !t.yes && !isTerminal(t.stdin):
		return usage("add --yes, once the other installation is stopped for good", "nobody can be asked: standard input is no terminal")
	}
	return nil
}

// wanted is the cluster as the spec and reconciler.yaml have it. Its nodes must
// be ones that may be acted on.
func (t *takeover) wanted(ctx context.Context, h host) (desired.Cluster, error) {
	if t.fleet != "" {
		if err := h.policy.Folders(); err != nil {
			return desired.Cluster{}, fmt.Errorf("take over by the folder %s: %w", t.fleet, err)
		}
	}
	fleets, err := t.open(ctx, h)
	if err != nil {
		return desired.Cluster{}, err
	}
	fleet, _ := ofCluster(fleets, t.cluster)
	t.of = fleetOf(fleet)
	fleet.Fleet = h.judged(fleet.Fleet)
	want, ok := fleet.Cluster(t.cluster)
	switch {
	case !ok && !slices.Contains(clusterNames(fleet.Fleet), t.cluster):
		err = usage("there are: "+strings.Join(clusterNames(fleet.Fleet), ", "), "the fleet has no cluster %q", t.cluster)
	case !ok:
		err = &exitError{code: exitFailed, err: fmt.Errorf("the spec of %s is invalid, or reconciler.yaml does not trust it", t.cluster), hint: "reconciler validate"}
	case want.Mode != desired.ModeEnforce:
		err = &exitError{code: exitFailed, err: fmt.Errorf("take over %s: its mode is %s, so nothing may be changed on its nodes", t.cluster, want.Mode),
			hint: "it takes mode: enforce in the spec, and trust.modes in reconciler.yaml that allow it"}
	}
	return want, err
}

// look asks every node whom it obeys, and nothing else: no file is read and
// Vault is left alone.
func (t *takeover) look(ctx context.Context, want desired.Cluster) error {
	memory, _, err := t.world.store.Load(ctx, want.Name)
	if err != nil {
		return err
	}
	t.world.enforced[want.Name] = true // wanted made sure; nothing runs beside us yet
	var bare []actual.Target
	for _, full := range diff.Targets(want, memory) {
		bare = append(bare, actual.Target{Cluster: full.Cluster, Node: full.Node, ID: full.ID, Address: full.Address, Port: full.Port, User: full.User})
	}
	for i, seen := range actual.Probe(ctx, t.world.nodes.Look, nodesAtOnce, bare) {
		t.nodes = append(t.nodes, obeys(bare[i], seen))
	}
	return ctx.Err()
}

// obeys reads off a look whom the node obeys. Only root sees that.
func obeys(target actual.Target, seen actual.Node) obedience {
	o := obedience{target: target}
	for _, phase := range actual.Phases() {
		if why := seen.Unknown[phase]; why != "" && o.unknown == "" {
			o.unknown = string(phase) + ": " + why
		}
	}
	switch {
	case seen.Machine == nil && o.unknown == "":
		o.unknown = "it said nothing of itself"
	case seen.Machine != nil && seen.Machine.Root:
		o.unknown, o.fence = "", seen.Machine.Fence
	case seen.Machine != nil && o.unknown == "":
		o.unknown = "sudo: grant the account " + nodes.SudoersLine
	}
	return o
}

func (t *takeover) show() {
	t.say("Take over %s, for %s: %s", t.cluster, who(), t.reason)
	for _, o := range t.nodes {
		switch {
		case o.unknown != "":
			t.say("  %s: not reached: %s", o.target.Node, o.unknown)
		case o.fence == nil:
			t.say("  %s obeys nobody", o.target.Node)
		case o.fence.Holder == t.world.holder:
			t.say("  %s obeys epoch %d of this installation", o.target.Node, o.fence.Epoch)
		default:
			t.say("  %s obeys epoch %d of installation %s", o.target.Node, o.fence.Epoch, o.fence.Holder)
		}
	}
}

// highest is the highest epoch that a node saw.
func (t *takeover) highest() (uint64, error) {
	var highest uint64
	reached := 0
	for _, o := range t.nodes {
		if o.unknown == "" {
			reached++
		}
		if o.fence == nil {
			continue
		}
		if o.fence.Epoch >= epochMost {
			return 0, fmt.Errorf("take over %s: %s says that it saw epoch %d, after which there is none; look at /var/lib/reconciler-node/epoch on it", t.cluster, o.target.Node, o.fence.Epoch)
		}
		highest = max(highest, o.fence.Epoch)
	}
	if reached == 0 {
		return 0, &exitError{code: report.Unobserved, err: fmt.Errorf("take over %s: none of its nodes was reached; nothing was done", t.cluster), hint: "reconciler check --cluster " + t.cluster}
	}
	return highest, nil
}

// agreed has a person type the cluster's name; an interrupt is no answer.
func (t *takeover) agreed(ctx context.Context) (bool, error) {
	if t.yes {
		return true, nil
	}
	fmt.Fprintf(t.stdout, "Whoever acted on these nodes is refused from then on. Is it stopped for good?\nType the cluster's name to take it over: ")
	answer, err := t.answer(ctx)
	if err == nil && answer != t.cluster {
		fmt.Fprintln(t.stdout, "Nothing was done.")
	}
	return err == nil && answer == t.cluster, err
}

// raise takes the lease by an epoch that no node has seen.
func (t *takeover) raise(ctx context.Context, highest uint64) (uint64, func(), error) {
	state := t.world.settings.State
	held, err := lease.Lease{}, lease.Raise(ctx, state, t.cluster, highest)
	if err == nil {
		held, err = lease.Acquire(ctx, state, t.cluster)
	}
	if errors.As(err, new(*lease.BusyError)) {
		return 0, nil, &exitError{code: report.Occupied, err: err}
	}
	return held.Epoch, held.Release, err
}

// take has every node that was reached obey us from here on.
func (t *takeover) take(ctx context.Context, epoch uint64) {
	fence := nodes.Fence{Epoch: epoch, Holder: t.world.holder, Op: newOp()}
	nodesAtOnce(len(t.nodes), func(i int) {
		if o := &t.nodes[i]; o.unknown == "" {
			_, o.err = t.world.nodes.Node(o.target).Verb(ctx, fence, "takeover", nil, nil)
		}
	})
}

// note has the history know whose the nodes are from here on.
func (t *takeover) note(h host) {
	e := did(report.WordTakeover, t.reason)
	e.Cluster = t.cluster
	for _, o := range t.nodes {
		if o.unknown == "" && o.err == nil {
			e.Nodes = append(e.Nodes, o.target.Node)
		}
	}
	if len(e.Nodes) == 0 {
		return
	}
	past := t.writes(h)
	defer past.Close()
	past.Did(t.of, e)
}

// tell says what became of each node, and which are left.
func (t *takeover) tell(epoch uint64) error {
	var left []string
	t.say("")
	for _, o := range t.nodes {
		switch {
		case o.unknown != "":
			left = append(left, o.target.Node)
			t.say("  %s: not reached, obeys whom it obeyed", o.target.Node)
		case o.err != nil:
			left = append(left, o.target.Node)
			t.say("  %s: not taken over: %v", o.target.Node, o.err)
		default:
			t.say("  %s obeys epoch %d of this installation now", o.target.Node, epoch)
		}
	}
	if len(left) > 0 {
		return &exitError{code: report.Unobserved, err: fmt.Errorf("%d of %s of %s are not taken over: %s", len(left), count(len(t.nodes), "node"), t.cluster, strings.Join(left, ", ")),
			hint: "run it again once they are reached; until then they refuse this installation"}
	}
	t.say("Taken over: %s. Next: reconciler plan --cluster %s", t.cluster, t.cluster)
	return nil
}
