package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/report"
)

// A person may say a few things in a comment. Only the first line of a new comment
// counts, never an edit: what was agreed to would change under whoever answered.
// Who may say it is asked of the forge, and never taken from a payload: plan and
// hold are for those who may write to the repo, because both only make things
// safer; resume lets the reconciler act again, and is for the teams that
// reconciler.yaml names for the cluster, and so is approve.

const (
	prefix      = "/reconciler"
	maxAnswers  = 5
	maxCommands = 20  // of one turn
	maxReason   = 200 // runes

	// fresh is for how long a command counts: one that nobody heard in time is not
	// done hours later, and one that was done is not done again because somebody
	// edited what we remember of it.
	fresh = time.Hour
)

// command is what somebody asked for.
type command struct {
	verb, cluster, reason string
}

// parse reads a command; false: the comment is none.
func parse(body string) (command, bool) {
	line, _, _ := strings.Cut(strings.ReplaceAll(body, "\r", "\n"), "\n")
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != prefix {
		return command{}, false
	}
	c := command{verb: "help"}
	if len(fields) > 1 {
		c.verb = fields[1]
	}
	if len(fields) > 2 {
		c.cluster = fields[2]
	}
	if len(fields) > 3 {
		c.reason = short(strings.Join(fields[3:], " "), maxReason)
	}
	return c, true
}

func short(s string, runes int) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes]) + "…"
	}
	return s
}

// hear does what new comments ask for.
func (r *Reviewer) hear(ctx context.Context, k *known, me string, p forge.Pull, proposal report.Proposal, comments []forge.Comment) error {
	done := 0
	k.heard = max(k.heard, k.note.Heard)
	for _, c := range comments {
		if c.ID <= k.heard {
			continue
		}
		asked, ok := parse(c.Body)
		if ok && c.Author != me && !c.Bot && !c.Edited && done < maxCommands && r.Now().Sub(c.Created) < fresh {
			done++
			words, did, err := r.obey(ctx, k, p, proposal, c.Author, asked)
			switch {
			case err != nil && isBusy(err):
				return fmt.Errorf("the command of comment %d: %w", c.ID, err)
			case err != nil: // and nobody's plan waits for it
				r.log.Warn("a command could not be done", "pull", p.Number, "comment", c.ID, "error", err)
				words, did = "it could not be done; the reconciler's log says why", false
			}
			reaction := forge.Rocket
			if !did {
				reaction = forge.Down
			}
			if err := r.Forge.React(ctx, p.Number, c.ID, reaction); err != nil {
				r.log.Warn("a command was not acknowledged", "pull", p.Number, "comment", c.ID, "error", err)
			}
			r.log.Info("heard a command", "pull", p.Number, "by", c.Author, "verb", asked.verb, "cluster", asked.cluster, "done", did)
			k.note.Answers = append(k.note.Answers, fmt.Sprintf("%s: %s %s — %s", c.Author, asked.verb, asked.cluster, words))
			k.note.Answers = k.note.Answers[max(0, len(k.note.Answers)-maxAnswers):]
		}
		k.heard, k.note.Heard = c.ID, c.ID
	}
	return nil
}

// obey does one command, and says what became of it; an error is of the world and
// not of who asked.
func (r *Reviewer) obey(ctx context.Context, k *known, p forge.Pull, proposal report.Proposal, who string, c command) (words string, did bool, err error) {
	const help = "write /reconciler plan, /reconciler hold CLUSTER WHY, /reconciler resume CLUSTER WHY, or /reconciler approve HEAD"
	may, err := r.Forge.MayWrite(ctx, who)
	if errors.Is(err, forge.ErrForbidden) {
		return "the reconciler's account may not ask the forge who may write here, so nobody is heard", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if !may {
		return "only who may write to the repo is heard", false, nil
	}
	switch c.verb {
	case "plan":
		return "planned anew", true, nil // as everything that is heard is
	case "approve":
		return r.approve(ctx, k, p, proposal, who, c)
	case "hold", "resume":
	default:
		return help, false, nil
	}
	if !r.has(c.cluster) {
		return "there is no cluster of that name here; " + help, false, nil
	}
	by := fmt.Sprintf("%s on pull request %d", who, p.Number)
	if c.verb == "hold" {
		if c.reason == "" {
			return "say why: /reconciler hold " + c.cluster + " WHY", false, nil
		}
		return "held, until /reconciler resume " + c.cluster, true, r.Hold(ctx, c.cluster, by, c.reason)
	}
	may, why, err := r.operates(ctx, who, c.cluster)
	if err != nil || !may {
		return why, false, err
	}
	return "resumed", true, r.Resume(ctx, c.cluster, by, c.reason)
}

// has says that the fleet in force has a cluster that is kept here.
func (r *Reviewer) has(cluster string) bool {
	_, fleet, _ := r.InForce()
	return slices.Contains(namesOf(r.kept(fleet)), cluster)
}

// answers are what became of the last commands.
func answers(all []string) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "\n<sub>%s</sub>\n", report.Escape(a))
	}
	return b.String()
}
