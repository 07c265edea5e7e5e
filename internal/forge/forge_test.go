package forge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
)

func TestEveryForgeTellsOfOpenPullRequestsOfABranchByNumber(t *testing.T) {
	each(t, func(t *testing.T, d dialect, _ *server, c forge.Client) {
		got, err := c.Pulls(t.Context(), "main")
		must(t, err)
		want := []forge.Pull{
			{Number: 7, Title: "Vault 1.21.4", Author: "sam", Head: head, HeadRef: "seven", BaseRef: "main", Fork: true, Open: true},
			{Number: 8, Title: "WIP: window", Author: "mara", Head: strings.Repeat("8", 40), HeadRef: "eight", BaseRef: "main", Draft: true, Open: true},
		}
		same(t, want, got, cmpopts.IgnoreFields(forge.Pull{}, "URL", "Updated", "Base"))
		if updated := time.Date(2026, 11, 18, 10, 0, 0, 0, time.UTC); !got[0].Updated.Equal(updated) {
			t.Errorf("updated %v, want %v", got[0].Updated, updated)
		}
		if base := strings.Repeat("1", 40); d.kind != forge.GitLab && got[0].Base != base {
			t.Errorf("base %s, want %s", got[0].Base, base)
		}
		if !strings.HasSuffix(got[0].URL, "/7") {
			t.Errorf("its page is %s", got[0].URL)
		}
	})
}

func TestEveryForgeTellsOfOnePullRequestAndOfOneThatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		got, err := c.Pull(t.Context(), 7)
		must(t, err)
		if got.Head != head || !got.Open || !got.Fork || got.Merged || got.Base != strings.Repeat("1", 40) {
			t.Errorf("%+v", got)
		}
		_, err = c.Pull(t.Context(), 404)
		says(t, err, "read pull request 404", "404 Not Found")
		if !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%v is not ErrNotFound", err)
		}
	})
}

func TestEveryForgeTellsWhoseMergeBroughtACommit(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		got, err := c.PullsOf(t.Context(), merged)
		must(t, err)
		if len(got) != 1 || got[0].Number != 5 || !got[0].Merged || got[0].Open || got[0].MergedCommit != merged || got[0].BaseRef != "main" {
			t.Errorf("%+v", got)
		}
		if got, err := c.PullsOf(t.Context(), pushed); err != nil || len(got) != 0 {
			t.Errorf("of a commit that was pushed: %+v %v", got, err)
		}
	})
}

func TestEveryForgeThatHasAMergeQueueTellsItsCommits(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		want := []string{strings.Repeat("a", 40), strings.Repeat("b", 40)}
		if d.kind == forge.Gitea || d.kind == forge.Forgejo {
			want = nil
		}
		got, err := c.Queued(t.Context(), "main")
		must(t, err)
		same(t, want, got)
		s.set(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `W/"3f2e"` {
				w.WriteHeader(http.StatusNotModified)
			}
		})
		if got, err = c.Queued(t.Context(), "main"); err != nil || len(got) != len(want) {
			t.Errorf("unchanged: %v %v", got, err)
		}
		for status, is := range map[int]error{http.StatusForbidden: forge.ErrForbidden, http.StatusNotFound: forge.ErrNotFound} {
			if d.kind != forge.GitHub { // GitLab says so of a project without trains
				is = nil
			}
			if got, err := canned(t, d, status, `{"message": "no"}`, "").Queued(t.Context(), "main"); !errors.Is(err, is) || len(got) > 0 {
				t.Errorf("%d: %v %v", status, got, err)
			}
		}
		if want == nil {
			return
		}
		_, err = canned(t, d, http.StatusBadGateway, `{"message": "no"}`, "").Queued(t.Context(), "main")
		says(t, err, `list the merge queue of "main"`, "502")
		_, err = canned(t, d, http.StatusForbidden, `{"message": "no"}`, "60").Queued(t.Context(), "main")
		is[*outbound.BusyError](t, err)
	})
}

func TestEveryForgeTakesCommentsEditsReactionsAndStatuses(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		read, err := c.Comments(t.Context(), 7)
		must(t, err)
		if len(read) != 2 || read[0].ID != 71 || read[0].Author != "sam" || read[0].Body != "/reconciler plan" || read[0].Bot || read[0].Edited ||
			!read[1].Bot || !read[1].Edited || read[0].Created.IsZero() {
			t.Errorf("%+v", read)
		}
		one, err := c.Comment(t.Context(), 7, "the plan")
		must(t, err)
		two, err := c.Edit(t.Context(), 7, one.ID, "the new plan")
		must(t, err)
		if one.ID != 73 || one.Author != "reconciler" || two.Body != "the new plan" || !two.Edited {
			t.Errorf("%+v %+v", one, two)
		}
		must(t, c.React(t.Context(), 7, 71, forge.Eyes))
		must(t, c.SetStatus(t.Context(), head, forge.Status{Context: "reconciler/plan", State: forge.Pending, Description: "reading nodes"}))
		for _, a := range s.all() {
			if strings.HasPrefix(a.what, "GET ") {
				continue
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(a.body), &sent); err != nil {
				t.Errorf("%s: %v in %s", a.what, err, a.body)
			}
		}
		if got := d.signature(s.all()[0].header); !strings.HasSuffix(got, canary) {
			t.Errorf("it is asked as %q", got)
		}
	})
}

func TestEveryForgeTellsTheLastWordOfEachReviewer(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		got, err := c.Reviews(t.Context(), 7)
		must(t, err)
		approved := map[string]forge.Review{}
		for _, r := range got {
			if r.Approved {
				approved[r.Author] = r
			}
		}
		same(t, map[string]forge.Review{"mara": {Author: "mara", Commit: head, Approved: true}}, approved)
	})
}

func TestEveryForgeTellsWhoMayWrite(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		for user, want := range map[string]bool{"mara": true, "kim": true, "sam": false, "nobody": false} {
			if got, err := c.MayWrite(t.Context(), user); err != nil || got != want {
				t.Errorf("%s: %v %v, want %v", user, got, err, want)
			}
		}
	})
}

func TestEveryForgeTellsWhoIsInATeam(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, _ *server, c forge.Client) {
		for user, want := range map[string]bool{"mara": true, "sam": false} {
			if got, err := c.InTeam(t.Context(), user, "acme/ops"); err != nil || got != want {
				t.Errorf("%s: %v %v, want %v", user, got, err, want)
			}
		}
	})
}

func TestOurLoginIsAskedForOnce(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		for range 3 {
			if me, err := c.Me(t.Context()); err != nil || me != "reconciler" {
				t.Errorf("%s %v", me, err)
			}
		}
		if n := len(s.all()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAConversationOfManyPagesIsReadWhole(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		s.set(conversation(d, 250))
		got, err := c.Comments(t.Context(), 7)
		must(t, err)
		if len(got) != 250 || got[0].ID != 1 || got[249].ID != 250 {
			t.Errorf("%d comments", len(got))
		}
		s.set(conversation(d, 2001))
		_, err = c.Comments(t.Context(), 7)
		says(t, err, "more than 2000 comments", "open another")
	})
}

// conversation gives pages of many comments, as GitHub does with links and as GitLab
// does with the next page in a header.
func conversation(d dialect, many int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != d.comments {
			return
		}
		page := 1
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		var list []map[string]any
		for id := (page-1)*100 + 1; id <= min(page*100, many); id++ {
			list = append(list, map[string]any{"id": id, "body": "x", "created_at": "2026-11-18T10:00:00Z", "updated_at": "2026-11-18T10:00:00Z"})
		}
		w.Header().Set("Content-Type", jsonKind)
		if page*100 < many {
			w.Header().Set("Link", fmt.Sprintf(`<https://elsewhere.example.com/x?page=%d>; rel="next"`, page+1))
			w.Header().Set("X-Next-Page", fmt.Sprint(page+1))
		}
		_ = json.NewEncoder(w).Encode(list)
	}
}

func TestAListThatNeverEndsIsLeft(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		first := conversation(d, 1)
		s.set(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<https://elsewhere.example.com/x?page=99>; rel="next"`)
			w.Header().Set("X-Next-Page", "99")
			r.URL.RawQuery = ""
			first(w, r)
		})
		if got, err := c.Comments(t.Context(), 7); err != nil || len(got) != 1 || len(s.all()) > 3 {
			t.Errorf("%d comments by %d requests, %v", len(got), len(s.all()), err)
		}
	})
}

func TestATooLongTextIsToldAsThat(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		s.set(answering(422, jsonKind, `{"message":"Validation Failed","errors":[{"resource":"IssueComment","code":"custom","field":"body","message":"body is too long (maximum is 65536 characters)"}]}`))
		_, err := c.Comment(t.Context(), 7, "a plan")
		most := is[*forge.TooLongError](t, err).MaxBody
		says(t, err, "comment on pull request 7", "too long")
		n := len(s.all())
		_, err = c.Comment(t.Context(), 7, strings.Repeat("x", most+1))
		is[*forge.TooLongError](t, err)
		if len(s.all()) != n {
			t.Error("it was sent though it is known to be too long")
		}
	})
}

func TestNothingThatWritesIsSentTwice(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		writes := map[string]func() error{
			"comment": func() error { _, err := c.Comment(t.Context(), 7, "a plan"); return err },
			"edit":    func() error { _, err := c.Edit(t.Context(), 7, 73, "a plan"); return err },
			"react":   func() error { return c.React(t.Context(), 7, 71, forge.Rocket) },
			"status": func() error {
				return c.SetStatus(t.Context(), head, forge.Status{Context: "reconciler/plan", State: forge.Success})
			},
		}
		fronts := map[string]http.HandlerFunc{
			"502":     answering(502, "text/html", "<html>Bad Gateway</html>"),
			"500":     answering(500, jsonKind, `{"message":"oops"}`),
			"429":     answering(429, jsonKind, `{"message":"slow down"}`, "Retry-After", "0"),
			"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		}
		for fault, front := range fronts {
			for what, write := range writes {
				s.set(front)
				before := len(s.all())
				if err := write(); err == nil {
					t.Errorf("%s, %s: no error", what, fault)
				}
				if n := len(s.all()) - before; n != 1 {
					t.Errorf("%s, %s: %d requests", what, fault, n)
				}
			}
		}
	})
}

func TestAForgeThatAsksForTimeIsBusy(t *testing.T) {
	for name, c := range map[string]struct {
		front http.HandlerFunc
		after time.Duration
	}{
		"429":                             {answering(429, jsonKind, `{"message":"Too many"}`, "Retry-After", "17"), 17 * time.Second},
		"429, nothing said":               {answering(429, "text/plain", `Retry later`), 0},
		"503":                             {answering(503, "text/html", `<html>`, "Retry-After", "5"), 5 * time.Second},
		"403 with a time":                 {answering(403, jsonKind, `{"message":"You have exceeded a secondary rate limit"}`, "Retry-After", "60"), time.Minute},
		"403, secondary limit":            {answering(403, jsonKind, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes"}`), time.Minute},
		"403, nothing remains":            {answering(403, jsonKind, `{"message":"API rate limit exceeded"}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "99999999999"), time.Hour},
		"a time that nobody can wait for": {answering(429, jsonKind, `{}`, "Retry-After", "99999999999999999999999"), time.Hour},
	} {
		each(t, func(t *testing.T, _ dialect, s *server, client forge.Client) {
			s.set(c.front)
			_, err := client.Pulls(t.Context(), "main")
			if got := is[*outbound.BusyError](t, err).RetryAfter(); got != c.after {
				t.Errorf("%s: after %v, want %v", name, got, c.after)
			}
			if n := len(s.all()); n != 1 {
				t.Errorf("%s: %d requests", name, n)
			}
		})
	}
}

func TestARefusalSaysWhichRightIsLacking(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		s.set(answering(403, jsonKind, `{"message":"Resource not accessible\u001b[31m by token"}`))
		_, err := c.Comment(t.Context(), 7, "a plan")
		says(t, err, "comment on pull request 7", "it needs ", "Resource not accessible·[31m by token")
		if !errors.Is(err, forge.ErrForbidden) {
			t.Errorf("%v is not ErrForbidden", err)
		}
		s.set(answering(401, jsonKind, `{"message":"401 Unauthorized"}`))
		_, err = c.Pulls(t.Context(), "main")
		says(t, err, "has it expired")
		if !errors.Is(err, forge.ErrForbidden) {
			t.Errorf("%v is not ErrForbidden", err)
		}
	})
}

func TestAnAnswerThatIsNoneIsAnErrorWithAWayOut(t *testing.T) {
	for name, c := range map[string]struct {
		front http.HandlerFunc
		says  string
	}{
		"a page of a proxy":  {answering(502, "text/html", "<html><h1>Bad Gateway</h1>"), "502 Bad Gateway"},
		"a login page":       {answering(200, "text/html; charset=utf-8", "<html>Sign in</html>"), "is the URL that of the forge"},
		"JSON that is cut":   {answering(200, jsonKind, `[{"number": 7, "title": "x`), "not JSON of this kind"},
		"JSON of other kind": {answering(200, jsonKind, `{"number": "seven"}`), "not JSON of this kind"},
		"a number as text":   {answering(200, jsonKind, `[{"number": "7", "iid": "7", "head": {"sha": 5}, "sha": 5}]`), "not JSON of this kind"},
		"nothing":            {answering(200, jsonKind, ``), "list "},
		"a length that is not kept": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", jsonKind)
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, `[]`)
		}, "its answer ends after 2 bytes"},
		"a head that is no commit": {answering(200, jsonKind, `[{"number":7,"iid":7,"state":"open","sha":"--upload-pack=x","head":{"sha":"--upload-pack=x","ref":"x"},"base":{"ref":"main"}}]`), "its head is"},
		"a number below one":       {answering(200, jsonKind, `[{"number":-7,"iid":-7,"state":"open","sha":"`+head+`","head":{"sha":"`+head+`"}}]`), "pull request -7"},
		"a null in a list":         {answering(200, jsonKind, `[null]`), "list "},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", jsonKind)
			_, _ = io.WriteString(w, "["+strings.Repeat(" ", 9<<20)+"]")
		}, "larger than 8 MiB"},
	} {
		each(t, func(t *testing.T, _ dialect, s *server, client forge.Client) {
			s.set(c.front)
			_, err := client.Pulls(t.Context(), "main")
			if err == nil {
				t.Fatalf("%s: no error", name)
			}
			says(t, err, c.says)
		})
	}
}

func TestTheTokenGoesToNoOtherHost(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		reached := false
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		defer other.Close()
		s.set(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/x", http.StatusFound) })
		_, err := c.Pull(t.Context(), 7)
		says(t, err, "it redirects to "+other.URL, "give that as the forge's URL")
		if reached {
			t.Error("the other host was asked")
		}
	})
}

func TestARepositoryThatWasRenamedIsReadAndNotWrittenTo(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		s.set(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/7") {
				http.Redirect(w, r, "/new/home", http.StatusMovedPermanently)
			}
			if r.URL.Path == "/new/home" {
				answering(200, jsonKind, `{"number":7,"iid":7,"state":"opened","sha":"`+head+`","head":{"sha":"`+head+`"}}`)(w, r)
			}
		})
		if p, err := c.Pull(t.Context(), 7); err != nil || p.Head != head {
			t.Errorf("%+v %v", p, err)
		}
		if got := d.signature(s.all()[1].header); !strings.HasSuffix(got, canary) {
			t.Errorf("where it is now, it is asked as %q", got)
		}
		s.set(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/new/home", http.StatusTemporaryRedirect)
		})
		_, err := c.Comment(t.Context(), 7, "a plan")
		says(t, err, "was the repository renamed")
	})
}

func TestWhatCannotBeAskedIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		for what, ask := range map[string]func() error{
			"-1 is no number":         func() error { _, err := c.Pull(t.Context(), -1); return err },
			"is not a commit's full":  func() error { _, err := c.PullsOf(t.Context(), "HEAD"); return err },
			`"../../x" is no login`:   func() error { _, err := c.MayWrite(t.Context(), "../../x"); return err },
			`".." is no login`:        func() error { _, err := c.InTeam(t.Context(), "..", "acme/ops"); return err },
			`"ops//x" is no team`:     func() error { _, err := c.InTeam(t.Context(), "mara", "ops//x"); return err },
			`"acme/.." is no team`:    func() error { _, err := c.InTeam(t.Context(), "mara", "acme/.."); return err },
			"0 is no number of a com": func() error { _, err := c.Edit(t.Context(), 7, 0, "x"); return err },
			`"heart" is no reaction`:  func() error { return c.React(t.Context(), 7, 1, "heart") },
			"comment is empty":        func() error { _, err := c.Comment(t.Context(), 7, " \n"); return err },
			`"great" is no state`: func() error {
				return c.SetStatus(t.Context(), head, forge.Status{Context: "x", State: "great"})
			},
		} {
			says(t, ask(), what)
		}
		if n := len(s.all()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestADescriptionIsCutAtACharacter(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		must(t, c.SetStatus(t.Context(), head, forge.Status{Context: "reconciler/plan", State: forge.Pending, Description: strings.Repeat("ü", 141)}))
		want := strings.Repeat("ü", 139) + "…"
		sent := s.all()[len(s.all())-1]
		if !strings.Contains(sent.body, `"`+want+`"`) {
			t.Errorf("%s: sent %s", d.kind, sent.body)
		}
	})
}

func TestANewTokenCountsAtOnceAndNoneIsToldAsThat(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, _ forge.Client) {
		now := "one-" + canary
		c, err := forge.New(forge.Options{Kind: d.kind, URL: s.URL, Repo: d.repo, Token: held(&now)})
		must(t, err)
		for _, now = range []string{"one-" + canary, "two-" + canary} {
			_, err := c.Pull(t.Context(), 7)
			must(t, err)
			if got := d.signature(s.all()[len(s.all())-1].header); !strings.HasSuffix(got, now) {
				t.Errorf("asked as %q", got)
			}
		}
		for _, now = range []string{"", canary + " and more", canary + "\nX-Other: 1"} {
			n := len(s.all())
			_, err := c.Pull(t.Context(), 7)
			says(t, err, "token is empty, or has spaces")
			if len(s.all()) != n {
				t.Error("it was sent")
			}
		}
	})
}

func TestForeignTextIsValidUTF8(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		s.set(answering(200, jsonKind, `[{"id":1,"body":"a`+"\xff"+`b","created_at":"2026-11-18T10:00:00Z","updated_at":"2026-11-18T10:00:00Z"}]`))
		got, err := c.Comments(t.Context(), 7)
		if err != nil || got[0].Body != "a�b" {
			t.Errorf("%s: %+v %v", d.kind, got, err)
		}
	})
}

func same(t *testing.T, want, got any, o ...cmp.Option) {
	t.Helper()
	if d := cmp.Diff(want, got, o...); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
