package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// app is what every command shares: the streams, and the common flags.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	// signals, where it is not nil, lets the next signal end the program at once. It
	// is nil where a command runs inside of another, which has to clean up.
	signals func()

	config  string   // --config: reconciler.yaml
	fleet   string   // --fleet: a checkout instead of the repo
	cluster string   // --cluster: glob
	node    string   // --node: glob
	labels  []string // -l: LABEL=VALUE
	output  string   // -o: text, json or markdown
	color   string   // --color: auto, always or never
	verbose bool
	quiet   bool

	held    error   // why the newest commit is not the one that was acted on
	leftOut []error // fleets that could not be read, where others could
}

// newRoot is the command line. A command is a file of its own beside this one,
// and one line here.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "reconciler",
		Short:         "Keep fleets of HashiCorp Vault servers in the state that git describes",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
	}
	root.Version = version()
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("see "+cmd.CommandPath()+" --help", "%w", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	a.addFlags(root)
	root.AddCommand(
		newValidate(a),
		newSpec(a),
		newLock(a),
		newPlan(a),
		newApply(a),
		newRun(a),
		newStatus(a),
		newWhy(a),
		newApprove(a),
		newHold(a),
		newResume(a),
		newApproveRewind(a),
		newTakeover(a),
		newKeys(a),
		newCheck(a),
		newNotify(a),
		newDemo(a),
	)
	return root
}

// letSignals lets the next signal end the program at once, and says whether it
// does.
func (a *app) letSignals() bool {
	if a.signals != nil {
		a.signals()
	}
	return a.signals != nil
}

// version is what Go knows of how the program was built: the module's version
// or, of a build from a checkout, its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := cmp.Or(info.Main.Version, "(devel)")
	if commit := settings["vcs.revision"]; commit != "" {
		text += ", commit " + commit
		if settings["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return text + ", " + info.GoVersion
}

func (a *app) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "reconciler.yaml `FILE` (default $RECONCILER_CONFIG, ./reconciler.yaml, /etc/reconciler/reconciler.yaml)")
	flags.StringVar(&a.fleet, "fleet", "", "checkout `DIR` of the fleet repo to use instead of the repo")
	flags.StringVar(&a.cluster, "cluster", "", "only clusters whose name matches `GLOB`")
	flags.StringVar(&a.node, "node", "", "only nodes whose name matches `GLOB`")
	flags.StringArrayVarP(&a.labels, "label", "l", nil, "only what has the label `NAME=VALUE`; may be repeated")
	flags.StringVarP(&a.output, "output", "o", "text", "`FORMAT` of the output: text, json or markdown")
	flags.StringVar(&a.color, "color", "auto", "colour the output: auto, always or never")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log every look and act on stderr")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "say only what is wrong")
}

func (a *app) checkFlags() error {
	for _, f := range []struct {
		name, value string
		choices     []string
	}{
		{"--output", a.output, []string{"text", "json", "markdown"}},
		{"--color", a.color, []string{"auto", "always", "never"}},
	} {
		if !slices.Contains(f.choices, f.value) {
			return usage("choose one of "+strings.Join(f.choices, ", "), "%s cannot be %q", f.name, f.value)
		}
	}
	for _, glob := range []string{a.cluster, a.node} {
		if _, err := path.Match(glob, ""); err != nil {
			return usage("a glob is a name with * or ? for what may differ", "%q is no glob", glob)
		}
	}
	for _, label := range a.labels {
		if name, _, ok := strings.Cut(label, "="); !ok || name == "" {
			return usage("write -l NAME=VALUE", "the label %q has no value", label)
		}
	}
	return nil
}

// formats refuses a format that a command does not have.
func (a *app) formats(choices ...string) error {
	if !slices.Contains(choices, a.output) {
		return usage("choose one of "+strings.Join(choices, ", "), "this command has no %s output", a.output)
	}
	return nil
}

// colored says whether to colour what goes to a stream.
func (a *app) colored(w io.Writer) bool {
	if a.color != "auto" {
		return a.color == "always"
	}
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := "see " + cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(hint, "unknown command %q", name)
}

// arguments checks how many there are; the hint shows the command's own usage.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage("write "+cmd.UseLine(), "%d arguments given", len(args))
		}
		return nil
	}
}

// checkout is the fleet repo that --fleet names, by default the current folder.
func (a *app) checkout() (dir string, fsys fs.FS, err error) {
	if dir, err = a.folder(nil); err == nil {
		fsys, err = openFolder(dir)
	}
	return dir, fsys, err
}

// openFolder is a checkout of a fleet repo as it lies on the disk.
func openFolder(dir string) (fs.FS, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the fleet repo: %w", err)
	}
	if !info.IsDir() {
		return nil, usage("name the folder that holds fleet.yaml", "%s is no folder", dir)
	}
	return os.DirFS(dir), nil
}

// loadOptions are what the spec cannot know by itself, from this machine.
func loadOptions() desired.Options {
	return desired.Options{Zone: func(name string) bool {
		_, err := time.LoadLocation(name)
		return err == nil
	}}
}
