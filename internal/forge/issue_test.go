package forge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
)

func lately() time.Time { return time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC) }

func TestEveryForgeTellsOfOurOwnIssuesThatAreOpenOrWereClosedLately(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		got, err := c.OurIssues(t.Context(), lately())
		must(t, err)
		closed := time.Date(2026, 11, 12, 10, 0, 0, 0, time.UTC)
		want := []forge.Issue{
			{Number: 30, Title: "reconciler: acme", Author: "reconciler", Body: "an earlier report", Locked: true, Closed: closed},
			{Number: 31, Title: "reconciler: acme", Author: "reconciler", Body: "the report", Open: true},
		}
		same(t, want, got, cmpopts.IgnoreFields(forge.Issue{}, "URL"), cmpopts.IgnoreUnexported(forge.Issue{}))
		if !strings.HasSuffix(got[0].URL, "/issues/30") {
			t.Errorf("its page is %s", got[0].URL)
		}
		asked := 0
		for _, a := range s.all() {
			if !strings.Contains(a.what, "/issues") {
				continue
			}
			asked++
			if !strings.Contains(a.query, "reconciler") {
				t.Errorf("%s?%s does not ask for ours", a.what, a.query)
			}
			if strings.Contains(a.query, "closed") && !strings.Contains(a.query, "2026-11-05") {
				t.Errorf("%s?%s does not say since when", a.what, a.query)
			}
		}
		if asked != 3 {
			t.Errorf("%d requests", asked)
		}
	})
}

func TestEveryForgeOpensEditsClosesAndCommentsIssues(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		one, err := c.OpenIssue(t.Context(), "reconciler: acme", "a report")
		must(t, err)
		must(t, c.CommentIssue(t.Context(), one.Number, "news"))
		two, err := c.EditIssue(t.Context(), one, "all clear", false)
		must(t, err)
		if one.Number != 34 || !one.Open || two.Open || two.Body != "all clear" || two.Author != "reconciler" {
			t.Errorf("%+v %+v", one, two)
		}
		var sent []map[string]any
		for _, a := range s.all() {
			var body map[string]any
			must(t, json.Unmarshal([]byte(a.body), &body))
			sent = append(sent, body)
		}
		if closing := fmt.Sprint(sent[2]["state"], sent[2]["state_event"]); !strings.Contains(closing, "close") {
			t.Errorf("closed by %v", sent[2])
		}
		_, err = c.EditIssue(t.Context(), two, "it came back", true)
		must(t, err)
		_, err = c.EditIssue(t.Context(), one, "as before", true)
		must(t, err)
		all := s.all()
		if back, stays := all[len(all)-2].body, all[len(all)-1].body; !strings.Contains(back, "open") || strings.Contains(stays, "open") || strings.Contains(stays, "close") {
			t.Errorf("reopened by %s, left open by %s", back, stays)
		}
	})
}

func TestAnIssueThatIsTooLongIsToldAsThat(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		s.set(answering(422, jsonKind, `{"message":"Validation Failed","errors":[{"message":"body is too long (maximum is 65536 characters)"}]}`))
		_, err := c.OpenIssue(t.Context(), "x", "a report")
		most := is[*forge.TooLongError](t, err).MaxBody
		says(t, err, "open an issue", "too long")
		n := len(s.all())
		_, err = c.EditIssue(t.Context(), forge.Issue{Number: 34, Open: true}, strings.Repeat("x", 1_000_001), true)
		is[*forge.TooLongError](t, err)
		if len(s.all()) != n || most < 60_000 {
			t.Errorf("it was sent though it is known to be too long, or nothing is taken: %d", most)
		}
	})
}

func TestFaultsOfIssuesAreThoseOfEverything(t *testing.T) {
	asks := map[string]func(context.Context, forge.Client) error{
		"list our issues": func(ctx context.Context, c forge.Client) error { _, err := c.OurIssues(ctx, lately()); return err },
		"open an issue":   func(ctx context.Context, c forge.Client) error { _, err := c.OpenIssue(ctx, "x", "y"); return err },
		"edit issue 34": func(ctx context.Context, c forge.Client) error {
			_, err := c.EditIssue(ctx, forge.Issue{Number: 34}, "y", true)
			return err
		},
		"comment on issue 34": func(ctx context.Context, c forge.Client) error { return c.CommentIssue(ctx, 34, "y") },
	}
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		_, err := c.Me(t.Context())
		must(t, err)
		for doing, ask := range asks {
			s.set(answering(403, jsonKind, `{"message":"You have exceeded a secondary rate limit"}`, "Retry-After", "17"))
			before := len(s.all())
			if busy := is[*outbound.BusyError](t, ask(t.Context(), c)); busy.After != 17*time.Second {
				t.Errorf("%s: after %v", doing, busy.After)
			}
			if n := len(s.all()) - before; n != 1 {
				t.Errorf("%s: %d requests", doing, n)
			}
			s.set(answering(403, jsonKind, `{"message":"Unable to create comment because issue is locked."}`))
			err := ask(t.Context(), c)
			says(t, err, doing, "issue is locked")
			if !errors.Is(err, forge.ErrForbidden) {
				t.Errorf("%s: %v is not ErrForbidden", doing, err)
			}
			s.set(answering(410, jsonKind, `{"message":"This issue was deleted"}`))
			if err := ask(t.Context(), c); !errors.Is(err, forge.ErrNotFound) {
				t.Errorf("%s: %v is not ErrNotFound", doing, err)
			}
			s.set(answering(200, jsonKind, `[null]`))
			says(t, ask(t.Context(), c), doing)
		}
	})
}

func TestTooManyIssuesOfOursAreAnError(t *testing.T) {
	each(t, func(t *testing.T, d dialect, s *server, c forge.Client) {
		s.set(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.EscapedPath() != d.issues {
				return
			}
			page := 1
			_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
			var list []map[string]any
			for n := (page-1)*100 + 1; n <= page*100; n++ {
				list = append(list, map[string]any{"number": n, "iid": n, "state": "open"})
			}
			w.Header().Set("Content-Type", jsonKind)
			w.Header().Set("Link", fmt.Sprintf(`<https://elsewhere.example.com/x?page=%d>; rel="next"`, page+1))
			w.Header().Set("X-Next-Page", fmt.Sprint(page+1))
			_ = json.NewEncoder(w).Encode(list)
		})
		_, err := c.OurIssues(t.Context(), lately())
		says(t, err, "list our issues", "more than 1000")
	})
}
