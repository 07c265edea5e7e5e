package ceremony

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

const (
	initPoll     = time.Second
	initPatience = 3 * time.Minute // for one attempt; the next one goes on waiting
	initMisses   = 5               // unanswered questions in a row that end an attempt
)

// question is an init that was begun, until its answer is there.
type question struct {
	act
	birth  diff.Birth
	key    transport
	asked  bool  // in this attempt
	refuse error // what was said when it was asked, if not yes
	misses int
}

// ask has the seed initialise its Vault, if it was not asked yet, and waits for
// the answer.
func (a act) ask(ctx context.Context, birth diff.Birth, key transport) ([]byte, error) {
	q := question{act: a, birth: birth, key: key}
	until := a.Clock.Now().Add(initPatience)
	for {
		raw, err := q.look(ctx)
		if raw != nil || err != nil {
			return raw, err
		}
		if !a.Clock.Now().Before(until) {
			return nil, fmt.Errorf("init on %s has no answer yet after %s; it goes on there, and the next attempt waits for it", a.node.Name, initPatience)
		}
		if err := a.Clock.Sleep(ctx, initPoll); err != nil {
			return nil, err
		}
	}
}

// look asks the node once how init went, and acts on what it says. Neither an
// answer nor an error: look again.
func (q *question) look(ctx context.Context) ([]byte, error) {
	state, body, err := q.result(ctx, q.birth.Nonce)
	if err != nil {
		if q.misses++; q.misses >= initMisses || errors.Is(err, apply.ErrRefused) {
			return nil, fmt.Errorf("ask how init went: %w", err)
		}
		return nil, nil
	}
	q.misses = 0
	switch state {
	case initDone:
		return body, nil
	case initForgotten:
		return q.remembered(ctx)
	case initFailed:
		return nil, q.lose(ctx, "init failed on "+q.node.Name+": "+harmless(body))
	case initNone:
		return nil, q.begin(ctx)
	}
	return nil, nil
}

// begin asks for init, once in an attempt, if Vault on the seed is as it was
// before the intent. It returns before the answer is there. When nobody knows
// whether the node heard, the next look tells.
func (q *question) begin(ctx context.Context) error {
	if untouched, err := q.untouched(ctx); err != nil || !untouched {
		return err
	}
	if q.asked {
		return q.refuse // nil: it was heard, and is about to begin
	}
	public, err := q.key.public()
	if err != nil {
		return err
	}
	args := append([]string{q.birth.Nonce}, q.api(q.node)...)
	args = append(args, strconv.Itoa(q.want.Keys.Shares), strconv.Itoa(q.want.Keys.Threshold))
	q.asked = true
	_, q.refuse = q.verb(ctx, "vault-init", args, []byte(public+"\n"))
	if errors.Is(q.refuse, apply.ErrRefused) {
		return q.refuse
	}
	return nil
}

// untouched is true when Vault on the seed is not initialised. One that is,
// while the node knows of no init, was initialised by somebody else, or the node
// lost the answer: it is looked at between two questions, so that an init that
// just begins is neither.
func (q *question) untouched(ctx context.Context) (bool, error) {
	v, err := q.Status(ctx, q.node)
	if err != nil {
		return false, fmt.Errorf("look whether Vault is initialised: %w", err)
	}
	if !v.Initialized {
		return true, nil
	}
	state, _, err := q.result(ctx, q.birth.Nonce)
	if err != nil || state != initNone {
		return false, nil // the next look tells
	}
	return false, q.lose(ctx, "Vault on "+q.node.Name+" is initialised, and the node has no answer for init "+q.birth.Nonce)
}

// remembered is the answer as the key stores hold it, when the node was told to
// forget it: then our memory is older than the stores.
func (q *question) remembered(ctx context.Context) ([]byte, error) {
	var body initBody
	r, err := q.first(ctx, q.want.Name, kindInit, &body)
	switch {
	case err == nil && r.Nonce == q.birth.Nonce:
		return body.Answer, nil
	case err == nil || missing(err):
		return nil, q.lose(ctx, q.node.Name+" was told to forget the answer, and no key store holds it")
	}
	return nil, q.stuck(ctx, err)
}
