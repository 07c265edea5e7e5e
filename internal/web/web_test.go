package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// shows are the pages of a board as they are without anybody being asked who he is.
func shows(b *web.Board, h web.History) http.Handler {
	return web.NewGuard(web.Access{}).Protect(web.New(web.Options{Board: b, History: h, Now: webtest.Noon}))
}

// get is one answer, of localhost.
func get(t *testing.T, h http.Handler, path string, header ...string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// text is what a person reads of a page.
func text(t *testing.T, page string) string {
	t.Helper()
	var words []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
		case html.TextToken:
			words = append(words, string(z.Text()))
		}
	}
}

// wellFormed says what is wrong with a page: what is not closed or closes nothing, an ID
// that is there twice, a style or a script of its own, an address of elsewhere.
func wellFormed(page string) (wrong []string) {
	void := []string{"meta", "link", "input", "br"}
	var open []string
	ids := map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				wrong = append(wrong, fmt.Sprintf("it ends with %v open: %v", open, z.Err()))
			}
			return wrong
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
			if token.Data == "style" || token.Data == "script" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "src" }) {
				wrong = append(wrong, "it has a "+token.Data+" of its own")
			}
			for _, a := range token.Attr {
				switch {
				case a.Key == "id" && ids[a.Val]:
					wrong = append(wrong, "two are called "+a.Val)
				case a.Key == "id":
					ids[a.Val] = true
				case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					wrong = append(wrong, "it has the attribute "+a.Key)
				case (a.Key == "href" || a.Key == "src" || a.Key == "action") && a.Val != "" && !strings.HasPrefix(a.Val, "#") && (!strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//")):
					wrong = append(wrong, "it leads to "+a.Val)
				}
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				return append(wrong, fmt.Sprintf("</%s> closes %v", token.Data, open))
			}
			open = open[:len(open)-1]
		}
	}
}

func TestTheCheckOfPagesSees(t *testing.T) {
	for page, want := range map[string]string{
		"<p><b>x</b></p><input>":             "",
		"<p><b>x</p></b>":                    "closes",
		"<p>":                                "open",
		`<p id="a"></p><p id="a"></p>`:       "called a",
		`<p onclick="x()"></p>`:              "onclick",
		"<style></style>":                    "style",
		"<script>1</script>":                 "script",
		`<a href="https://example.com"></a>`: "leads to",
		`<a href="//example.com"></a>`:       "leads to",
	} {
		if got := strings.Join(wellFormed(page), "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, and not %q", page, got, want)
		}
	}
}

func TestEveryPageSaysWhatItIsFor(t *testing.T) {
	b := webtest.Board(webtest.Sick()...)
	webtest.Under(b, webtest.Upgrading("prod-eu"))
	h := shows(b, webtest.Past{Count: 120})
	for path, want := range map[string][]string{
		"/": {"7 clusters, 21 nodes", "1 needs a person now", "2 in error", "2 in sync", "2 drifts open",
			"prod-ap A PERSON IS NEEDED NOW", "prod-ap-1 1.21.0 sealed none active", "prod-us-2 ? ? ? ? healthy", "not seen: tcp", "prod-us-3 1.21.0 unsealed follower active healthy 1 6 drift", "dev its spec is invalid", "load the memory of stage-eu: no space left on device", "commit 3f9c2a7d41b8 of main"},
		"/clusters/prod-us": {"1 blocked", "quorum on prod-us-1: taking prod-us-1 down", "Lift: bring the other voters back first", "retry on prod-us-3: reload failed: no answer (until 2026-11-23T12:01:00Z)",
			"not seen (tcp): dial 10.1.0.12:22: connection refused", "Lift: bring the machine up", `~ prod-us-3 log_level "trace" → "info" reload, drift, put back`, "critical vault.binary tampered", "on prod-us-1: /usr/local/bin/vault is root's", "find out who replaced the program",
			"left alone until", "reload on prod-us-3: failed, attempt 1", "hold for prod-us-2 by ada", "N-117", "More of it"},
		"/clusters/prod-eu": {"Under way", "prod-eu-2 restart under way since 12:00:14 service activating, API silent", "prod-eu-3 install done 12 seconds, at 12:00:12", "Order", "2-3 prod-eu-2: restart, unseal", "prod-eu-1 (leader, last)", "No way back", "W-120", "failed"},
		"/clusters/prod-ap": {"URGENT quorum-lost: 0 of 3 voters serve", "Lift: bring back the nodes"},
		"/clusters/prod-ca": {"in sync", "Nothing is to be done.", "Nothing drifts.", "in sync with this very spec first at"},
		"/clusters/dev":     {`unknown key "ndoes"; did you mean "nodes"?`, "Nothing was planned yet.", "It was not looked at yet."},
		"/drift":            {"Drift in acme: 2 open · 1 critical · 1 medium", "config.log_level changed", "there \"trace\" wanted \"info\"", "wanted by clusters/prod-us/cluster.yaml:21@3f9c2a7d41b8", "3 times within a week", "Gone D-1 prod-us", "Not read", "until the migration is over"},
		"/history":          {"W-120", "restart prod-eu-2", "P-119", "N-71", "Older"},
		"/history/W-120":    {"restart prod-eu-2", "failed", "11:59:19 to 12:00:00, 41s; commit, restart+unseal; op-41", "done on the node, but api", "vault 1.21.0 → 1.21.4"},
		"/history/P-119":    {"to do: install", "Order", "No way back", "! prod-eu-1 prod-eu-2 prod-eu-3 vault 1.21.0 → 1.21.4 restart"},
	} {
		code, page, _ := get(t, h, path)
		if code != http.StatusOK {
			t.Errorf("%s is answered %d", path, code)
		}
		read := text(t, page)
		for _, words := range want {
			if !strings.Contains(read, words) {
				t.Errorf("%s does not say %q:\n%s", path, words, read)
			}
		}
		if wrong := wellFormed(page); len(wrong) > 0 {
			t.Errorf("%s: %v", path, wrong)
		}
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	_, page, _ := get(t, shows(webtest.Board(webtest.Sick()...), nil), "/")
	last := -1
	for _, id := range []string{"c-prod-ap", "c-dev", "c-stage-eu", "c-prod-us", "c-prod-eu", "c-prod-ca", "c-stage-us"} {
		at := strings.Index(page, `id="`+id+`"`)
		if at <= last {
			t.Errorf("%s is not there, or before what is worse", id)
		}
		last = at
	}
	if sealed, well := strings.Index(page, "prod-us-2"), strings.Index(page, "prod-us-1"); sealed > well {
		t.Error("a node that was not seen stands behind one that was")
	}
}

func TestAFilterLeavesWhatHasEveryWord(t *testing.T) {
	h := shows(webtest.Board(webtest.Sick()...), nil)
	for q, want := range map[string]struct{ has, hasNot string }{
		"sealed+none":     {"1 of 7 clusters, 2 nodes", "prod-ca"},
		"PROD-ap":         {"1 of 7 clusters, 3 nodes", "prod-us"},
		"leader+prod-c":   {"1 of 7 clusters, 1 node.", "prod-ca-2"},
		"drift+log":       {"Nothing is found.", "prod-us"},
		"drift+prod-us-3": {"1 of 7 clusters, 1 node.", "prod-us-1"},
		"not+looked":      {"Nothing is found.", "prod"},
		"%22%3E%3Cb%3E":   {"Nothing is found.", "<b>"},
	} {
		_, page, _ := get(t, h, "/?q="+q)
		read := text(t, page[strings.Index(page, `<div id="part"`):])
		if !strings.Contains(read, want.has) || strings.Contains(read, want.hasNot+" ") {
			t.Errorf("%s: not %q, or %q:\n%s", q, want.has, want.hasNot, read)
		}
	}
}

func TestManyClustersAreClosedWhereNothingIsToBeSeen(t *testing.T) {
	_, page, _ := get(t, shows(webtest.Board(webtest.Many(40, 3)...), nil), "/")
	if open := strings.Count(page, " open>"); open != 2 {
		t.Errorf("%d of 40 clusters are open, and 2 are worth it", open)
	}
	if !strings.Contains(text(t, page), "40 clusters, 120 nodes") {
		t.Error("the totals are wrong")
	}
}

func TestWhatIsNotKnownYetIsNotInSync(t *testing.T) {
	b := web.NewBoard()
	b.Follow([]string{webtest.Fleet, "another"})
	b.Wants(webtest.Fleet, webtest.Source(), []web.Wanted{{Name: "prod", Nodes: 3}})
	_, page, _ := get(t, shows(b, nil), "/")
	read := text(t, page)
	for _, want := range []string{"1 cluster, 3 nodes", "prod not looked at yet", "Nothing is in force yet of another"} {
		if !strings.Contains(read, want) {
			t.Errorf("not %q:\n%s", want, read)
		}
	}
	if strings.Contains(read, "in sync") {
		t.Errorf("it claims to know:\n%s", read)
	}
	for path, want := range map[string]string{"/history": "No history is kept.", "/clusters/prod": "No history is kept.", "/drift": "Drift in acme"} {
		if code, page, _ := get(t, shows(b, nil), path); code != http.StatusOK || !strings.Contains(text(t, page), want) {
			t.Errorf("%s: %d, and not %q", path, code, want)
		}
	}
}

// TestSeveralFleetsAreShownBesideEachOther: also where both are of one repo and of one
// name. What no fleet names any more is dropped.
func TestSeveralFleetsAreShownBesideEachOther(t *testing.T) {
	b := web.NewBoard()
	b.Follow([]string{"a of fleet", "b of fleet"})
	b.Wants("a of fleet", webtest.Source(), []web.Wanted{{Name: "prod-us", Nodes: 3}})
	b.Wants("b of fleet", webtest.Source(), []web.Wanted{{Name: "prod-ap", Nodes: 3}})
	b.Wants("another one", webtest.Source(), []web.Wanted{{Name: "stranger"}})
	for _, c := range []report.Cluster{webtest.Drifted("prod-us"), webtest.Lost("prod-ap"), webtest.Well("stranger", 1)} {
		b.Seen(c, webtest.Noon())
	}
	h := shows(b, nil)
	says := func(path string, times int, words string) {
		t.Helper()
		_, page, _ := get(t, h, path)
		if read := text(t, page); strings.Count(read, words) != times {
			t.Errorf("%s says %q, and not %d times:\n%s", path, words, times, read)
		}
	}
	says("/", 1, "2 clusters, 6 nodes")
	says("/", 2, "Fleet acme, commit")
	says("/", 0, "stranger")
	says("/drift", 1, "Drift in acme: 2 open")
	says("/drift", 1, "Drift in acme: nothing drifts")
	b.Wants("b of fleet", webtest.Source(), nil)
	says("/", 1, "1 cluster, 3 nodes")
	b.Wants("b of fleet", webtest.Source(), []web.Wanted{{Name: "prod-ap", Nodes: 3}})
	says("/", 1, "prod-ap not looked at yet")
	b.Follow([]string{"b of fleet"})
	says("/", 1, "1 cluster, 3 nodes")
	says("/drift", 0, "prod-us")
}

func TestATurnThatSawNothingLeavesWhatWasSeen(t *testing.T) {
	b := webtest.Board(webtest.Drifted("prod-us"))
	b.Seen(report.Cluster{Name: "prod-us", Err: errors.New("disk gone")}, time.Time{})
	_, page, _ := get(t, shows(b, nil), "/clusters/prod-us")
	for _, want := range []string{"disk gone", "prod-us-3", "critical vault.binary", "Seen 2026-11-23 12:00:00"} {
		if !strings.Contains(text(t, page), want) {
			t.Errorf("not %q:\n%s", want, text(t, page))
		}
	}
}

func TestWhatIsNotThereIsSaidSo(t *testing.T) {
	h := shows(webtest.Board(webtest.Sick()...), webtest.Past{Count: 3})
	broken := shows(webtest.Board(webtest.Sick()...), webtest.Past{Err: errors.New("history.db is locked")})
	for _, row := range []struct {
		h    http.Handler
		path string
		code int
		want string
	}{
		{h, "/clusters/none", 404, "No fleet names a cluster none."},
		{h, "/clusters/", 404, "There is no such page."},
		{h, "/static/none.css", 404, "There is no such page."},
		{h, "/static/..%2fweb.go", 404, "There is no such page."},
		{h, "/history/W-9", 404, "Nothing with the ID W-9"},
		{h, "/history?before=W-9", 404, "Nothing with the ID W-9"},
		{h, "/login", 404, "There is no such page."},
		{shows(web.NewBoard(), nil), "/history/W-1", 404, "No history is kept."},
		{broken, "/history", 200, "The history cannot be read: history.db is locked"},
		{broken, "/clusters/prod-ca", 200, "The history cannot be read: history.db is locked"},
		{broken, "/history/W-1", 503, "history.db is locked"},
	} {
		code, page, _ := get(t, row.h, row.path)
		if code != row.code || !strings.Contains(text(t, page), row.want) {
			t.Errorf("%s: %d, and not %q:\n%s", row.path, code, row.want, text(t, page))
		}
		if wrong := wellFormed(page); len(wrong) > 0 {
			t.Errorf("%s: %v", row.path, wrong)
		}
	}
}

func TestAHistoryIsReadPageByPage(t *testing.T) {
	h := shows(webtest.Board(webtest.Sick()...), webtest.Past{Count: 120})
	var seen []string
	path, pages := "/history", 0
	for path != "" {
		_, page, _ := get(t, h, path)
		pages++
		path = ""
		z := html.NewTokenizer(strings.NewReader(page))
		for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
			token := z.Token()
			for _, a := range token.Attr {
				if id, ok := strings.CutPrefix(a.Val, "/history/"); ok {
					seen = append(seen, id)
				}
				if a.Key == "href" && slices.Contains(token.Attr, html.Attribute{Key: "rel", Val: "next"}) {
					path = a.Val
				}
			}
		}
		if live := strings.Contains(page, `data-live="true"`); live != (pages == 1) {
			t.Errorf("page %d may be news: %v", pages, live)
		}
	}
	if pages != 3 || len(seen) != 120 || seen[0] != "W-120" || seen[119] != "N-1" || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != 120 {
		t.Errorf("%d pages with %d events: %v", pages, len(seen), seen)
	}
	_, page, _ := get(t, h, "/history?cluster=prod-us")
	if read := text(t, page); strings.Contains(read, "prod-eu") || !strings.Contains(read, "Of the cluster prod-us.") {
		t.Errorf("another cluster is in it:\n%s", read)
	}
}

// TestForeignTextStaysText gives every text that comes from elsewhere what would break
// out of a page, or hide or reorder what stands there.
func TestForeignTextStaysText(t *testing.T) {
	const evil = "<script>alert(1)</script>\" onload='x' \u202e\x1b[31m\x00\u200bjavascript:x"
	c := webtest.Drifted("prod")
	for i := range c.Have {
		c.Have[i].Name += evil
		if c.Have[i].Vault != nil {
			c.Have[i].Vault.Version, c.Have[i].Service.ActiveState, c.Have[i].Process.Served.Problem = evil, evil, evil
		}
	}
	c.Plan.Mode, c.Plan.Commit = evil, evil
	c.Plan.Blocks[0].Detail, c.Plan.Blocks[0].Lift, c.Plan.Blocks[0].Node = evil, evil, evil
	c.Plan.Waits[0].Detail, c.Plan.Unseen[0].Error, c.Plan.Unseen[0].Node = evil, evil, evil
	c.Plan.Waves[0][0].Changes[0] = diff.Change{What: evil, From: evil, To: evil}
	c.Plan.Notes = []diff.Note{{Node: evil, Change: diff.Change{What: evil, From: evil, To: evil}, Why: evil}}
	for i := range c.Drift.Rows {
		r := &c.Drift.Rows[i]
		r.Path, r.Have, r.Want, r.File, r.Place, r.Nodes, r.Kind, r.Severity = evil, evil, evil, evil, evil, []string{evil}, evil, evil
		for j := range r.Traces {
			r.Traces[j].Node, r.Traces[j].Owner = evil, evil
		}
	}
	c.Memory.Drifts[0].Path, c.Memory.Drifts[0].Nodes = evil, []string{evil}
	c.Memory.Tries[0].Evidence, c.Memory.Leaves[0].Reason, c.Memory.Leaves[0].By = evil, evil, evil
	c.Err = errors.New(evil)
	c.Broken = []desired.Problem{{Text: evil, Hint: evil}}
	name := "a" + evil
	c.Name, c.Plan.Cluster = name, name
	b := webtest.Board(c)
	b.Event(name, apply.Event{Kind: apply.EventBegan, Step: diff.Step{ID: "1", Node: evil, Action: evil}, Detail: evil, At: webtest.Noon()})
	b.Event(name, apply.Event{Kind: apply.EventEnded, Step: diff.Step{ID: "2", Node: evil, Action: evil}, Outcome: evil, Detail: evil, At: webtest.Noon()})
	h := shows(b, hostile{web.Event{ID: evil, At: webtest.Noon(), Kind: evil, Cluster: name, Commit: evil, Outcome: evil, Words: evil}})
	for _, path := range []string{"/", "/clusters/" + escape(name), "/drift", "/history", "/history/" + escape(evil), "/clusters/" + escape(evil), "/?q=" + escape(evil)} {
		code, page, _ := get(t, h, path)
		if code != 200 && !strings.HasPrefix(path, "/clusters/%3C") {
			t.Errorf("%s is answered %d", path, code)
		}
		if wrong := wellFormed(page); len(wrong) > 0 {
			t.Errorf("%s: %v", path, wrong)
		}
		for _, raw := range []string{"<script>alert", "\u202e", "\x1b", "\x00", "\u200b", " onload='x' \""} {
			if strings.Contains(page, raw) {
				t.Errorf("%s has %q as it is", path, raw)
			}
		}
		if !strings.Contains(page, "alert(1)") && !strings.HasPrefix(path, "/?q") {
			t.Errorf("%s does not show the text at all", path)
		}
		if strings.Contains(page, `href="javascript`) {
			t.Errorf("%s leads to a script", path)
		}
	}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func TestOnlyTheNewsCanBeAskedFor(t *testing.T) {
	h := shows(webtest.Board(webtest.Sick()...), nil)
	_, part, header := get(t, h, "/", "X-Part", "1")
	if strings.Contains(part, "<html") || !strings.HasPrefix(part, `<div id="part"`) || !slices.Contains(header.Values("Vary"), "X-Part") {
		t.Errorf("%v\n%.300s", header, part)
	}
	if wrong := wellFormed(part); len(wrong) > 0 {
		t.Error(wrong)
	}
	if _, whole, _ := get(t, h, "/"); !strings.Contains(whole, strings.TrimSpace(part)) {
		t.Error("the page has something else there")
	}
}

// TestWhatIsNotKeptIsNotMissed: the words of a cluster are the same without it, and
// whoever handed it over finds it as it was.
func TestWhatIsNotKeptIsNotMissed(t *testing.T) {
	for _, c := range append(webtest.Sick(), looks()[7]) {
		for i := range c.Have {
			c.Have[i].Machine, c.Have[i].Data, c.Have[i].Binary = &actual.Machine{Hold: &actual.Hold{Text: "hands off"}}, &actual.Data{}, &actual.Binary{}
		}
		c.Memory.Members, c.Memory.Secrets = []diff.Member{{Name: "a"}}, map[string]string{"age:a": "b"}
		before, err := json.Marshal(c.Have)
		if err != nil {
			t.Fatal(err)
		}
		kept := web.Slim(c)
		if diff := cmp.Diff(report.Tell(c, webtest.Noon()), report.Tell(kept, webtest.Noon())); diff != "" {
			t.Errorf("%s is told otherwise:\n%s", c.Name, diff)
		}
		drift := func(c report.Cluster) report.DriftDocument {
			return report.NewDrift(webtest.Source(), []report.Cluster{c}, webtest.Noon(), webtest.Noon().AddDate(0, 0, -7))
		}
		if diff := cmp.Diff(drift(c), drift(kept)); diff != "" {
			t.Errorf("%s drifts otherwise:\n%s", c.Name, diff)
		}
		if after, err := json.Marshal(c.Have); err != nil || string(after) != string(before) {
			t.Errorf("what was seen of %s was changed", c.Name)
		}
	}
}
