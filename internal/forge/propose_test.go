package forge_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
)

const accepting = "reconciler/accept-D-1f0c22ab"

func aChange() forge.Change {
	return forge.Change{Branch: accepting, Base: strings.Repeat("1", 40), Path: "clusters/prod/cluster.yaml", Was: []byte("old"), Is: []byte("new"), Message: "Accept drift"}
}

func aRequest() forge.Request {
	return forge.Request{Title: "Accept drift", Body: "what and where", Branch: accepting, Base: "main"}
}

func TestEveryForgeCommitsAFileOnABranchOfItsOwnAndOpensAPullRequest(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		must(t, c.CommitFile(t.Context(), aChange()))
		var sent strings.Builder
		for _, a := range s.all() {
			sent.WriteString(a.what + " " + a.body + "\n")
		}
		text, begins := base64.StdEncoding.EncodeToString([]byte("new")), strings.Repeat("1", 40)
		if d.kind == forge.GitHub {
			text = `"content":"new"`
		}
		for _, want := range []string{accepting, "clusters/prod/cluster.yaml", text, begins, "Accept drift"} {
			if !strings.Contains(sent.String(), want) {
				t.Errorf("no %s in what was sent:\n%s", want, sent.String())
			}
		}
		p, err := c.OpenPull(t.Context(), aRequest())
		must(t, err)
		if p.Number != 35 || !p.Open || p.HeadRef != accepting || p.BaseRef != "main" || p.Author != "reconciler" || p.Fork || !strings.HasSuffix(p.URL, "/35") {
			t.Errorf("%+v", p)
		}
	})
}

func TestGiteaSaysWhichBytesItReplaces(t *testing.T) {
	_, s, c := only(t, forge.Gitea)
	must(t, c.CommitFile(t.Context(), aChange()))
	if last := s.all()[1].body; !strings.Contains(last, blobOfOld) {
		t.Errorf("sent %s", last)
	}
}

// blobOfOld is what `printf old | git hash-object --stdin` says.
const blobOfOld = "489ce0f857e7634a0eb9f328265a3e91fad49f61"

func TestEveryForgeFindsAnOpenPullRequestByItsBranch(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		p, there, err := c.PullFrom(t.Context(), "main", "eight")
		must(t, err)
		if !there || p.Number != 8 {
			t.Errorf("%v %+v", there, p)
		}
		for _, other := range []string{"seven", accepting} { // of a fork; of nobody
			if p, there, err := c.PullFrom(t.Context(), "main", other); there || err != nil {
				t.Errorf("%s: %+v %v", other, p, err)
			}
		}
	})
}

func TestWhatIsInTheWayOfAProposalIsTold(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		asks := map[string]func(context.Context) error{
			"commit": func(ctx context.Context) error { return c.CommitFile(ctx, aChange()) },
			"open":   func(ctx context.Context) error { _, err := c.OpenPull(ctx, aRequest()); return err },
		}
		for doing, ask := range asks {
			for _, no := range []struct {
				status int
				says   string
				is     error
			}{
				{422, `{"message":"Reference already exists"}`, forge.ErrExists},
				{422, `{"message":"Validation Failed","errors":[{"message":"A pull request already exists for acme:x."}]}`, forge.ErrExists},
				{400, `{"message":"A branch called 'x' already exists. Switch to that branch in order to make changes"}`, forge.ErrExists},
				{409, `{"message":["Another open merge request already exists for this source branch: !12"]}`, forge.ErrExists},
				{409, `{"message":"The branch already exists."}`, forge.ErrExists},
				{409, `{"message":"reference broken"}`, forge.ErrMoved},
				{422, `{"message":"Object does not exist"}`, forge.ErrMoved},
				{422, `{"message":"sha does not match [given: a, expected: b]"}`, forge.ErrMoved},
				{422, `{"message":"Repository rule violations found"}`, forge.ErrProtected},
				{403, `{"message":"You are not allowed to push into this branch"}`, forge.ErrProtected},
				{423, `{"message":"path clusters/prod/cluster.yaml is protected"}`, forge.ErrProtected},
				{401, `{"message":"Bad credentials"}`, forge.ErrForbidden},
				{403, `{"message":"no"}`, forge.ErrForbidden},
			} {
				s.set(answering(no.status, jsonKind, no.says))
				err := ask(t.Context())
				says(t, err, doing, accepting)
				if !errors.Is(err, no.is) {
					t.Errorf("%s %d %s: %v is not %v", doing, no.status, no.says, err, no.is)
				}
			}
			s.set(answering(403, jsonKind, `{"message":"no"}`))
			says(t, ask(t.Context()), map[forge.Kind]string{forge.GitHub: "Contents: write", forge.GitLab: "Developer"}[d.kind], "it needs")
			s.set(answering(429, jsonKind, `{"message":"slow down"}`, "Retry-After", "17"))
			before := len(s.all())
			if busy := is[*outbound.BusyError](t, ask(t.Context())); busy.After != 17*time.Second || len(s.all()) != before+1 {
				t.Errorf("%s: after %v by %d requests", doing, busy.After, len(s.all())-before)
			}
			s.set(answering(200, jsonKind, `{}`))
			says(t, ask(t.Context()), doing)
		}
	})
}

func TestACommitThatIsGoneIsToldFromARepositoryThatMayNotBeSeen(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		gone := func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/fleet") {
				answering(404, jsonKind, `{"message":"Not Found"}`)(w, r)
			}
		}
		s.set(gone)
		if err := c.CommitFile(t.Context(), aChange()); !errors.Is(err, forge.ErrMoved) {
			t.Errorf("%v", err)
		}
		s.set(answering(404, jsonKind, `{"message":"Not Found"}`))
		if err := c.CommitFile(t.Context(), aChange()); !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestABranchOfGiteaWithoutItsCommitIsTakenAwayAgain(t *testing.T) {
	_, s, c := only(t, forge.Gitea)
	for name, front := range map[string]http.HandlerFunc{
		"the commit is refused": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				answering(422, jsonKind, `{"message":"sha does not match [given: a, expected: b]"}`)(w, r)
			}
		},
		"the branch begins elsewhere": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				answering(201, jsonKind, `{"name":"x","commit":{"id":"`+head+`"}}`)(w, r)
			}
		},
	} {
		s.set(front)
		err := c.CommitFile(t.Context(), aChange())
		says(t, err, "commit")
		all := s.all()
		if last := all[len(all)-1].what; last != "DELETE /api/v1/repos/acme/fleet/branches/"+accepting {
			t.Errorf("%s: the last request is %s", name, last)
		}
		s.set(func(w http.ResponseWriter, r *http.Request) {
			if front(w, r); r.Method == http.MethodDelete {
				answering(403, jsonKind, `{"message":"no"}`)(w, r)
			}
		})
		if err := c.CommitFile(t.Context(), aChange()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWhatCannotBeProposedIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		for name, change := range map[string]func(*forge.Change){
			"a branch": func(c *forge.Change) { c.Branch = "a..b" }, "no branch": func(c *forge.Change) { c.Branch = "" },
			"a path": func(c *forge.Change) { c.Path = "../x" }, "a base": func(c *forge.Change) { c.Base = "main" },
			"bytes": func(c *forge.Change) { c.Is = []byte{0xff} }, "no message": func(c *forge.Change) { c.Message = " " },
		} {
			one := aChange()
			change(&one)
			if err := c.CommitFile(t.Context(), one); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		for name, request := range map[string]forge.Request{
			"no title": {Branch: "a", Base: "main"}, "no base": {Title: "x", Branch: "a"}, "too long": {Title: "x", Branch: "a", Base: "main", Body: strings.Repeat("x", 1_000_001)},
		} {
			if _, err := c.OpenPull(t.Context(), request); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if n := len(s.all()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
