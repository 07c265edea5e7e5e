package hook

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	typed = "correct-horse-battery-staple"
	key   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	main  = `{"ref":"refs/heads/main","before":"9049f1265b7d61be4a8904a9a27120d2064dab3b","after":"0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c","repository":{"full_name":"acme/fleet","clone_url":"https://git.internal/acme/fleet.git"},"pusher":{"name":"ada"},"commits":[]}`
	other = `{"ref":"refs/heads/next","repository":{"full_name":"acme/fleet"}}`
)

// bench is a handler, what it hinted and what it logged.
type bench struct {
	*Handler
	hints int
	log   bytes.Buffer
	file  string
}

// newBench hears hooks of the branch main, with the secrets above.
func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{file: filepath.Join(t.TempDir(), "hook.secret")}
	b.share(t, typed+"\n"+key+"\n")
	b.Handler = New(Options{Branches: []string{"main"}, Secrets: File(b.file), Hint: func(func(string) bool) { b.hints++ }},
		slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return b
}

func (b *bench) share(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// post sends a body, and says what is answered and how many hints it was.
func (b *bench) post(header http.Header, body string) (code, hints int) {
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
	r.Header = header
	return b.send(r)
}

func (b *bench) send(r *http.Request) (code, hints int) {
	before, w := b.hints, httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code, b.hints - before
}

// headers are NAME, VALUE, ….
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func signed(secret, body string) string { return hex.EncodeToString(sum([]byte(secret), []byte(body))) }

// github is what GitHub sends with a push.
func github(body string) http.Header {
	return headers("User-Agent", "GitHub-Hookshot/044aadd", "Content-Type", "application/json", "X-GitHub-Event", "push",
		"X-GitHub-Hook-ID", "292430182", "X-Hub-Signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6", "X-Hub-Signature-256", "sha256="+signed(typed, body))
}

// standard is what GitLab sends with a push, where it signs.
func standard(body, id string, at time.Time) http.Header {
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, signerPrefix))
	seconds := strconv.FormatInt(at.Unix(), 10)
	return headers("User-Agent", "GitLab/18.5.0", "X-Gitlab-Event", "Push Hook", "webhook-id", id, "webhook-timestamp", seconds,
		"webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sum(raw, []byte(id+"."+seconds+"."+body))))
}

func TestEveryDialectIsHeard(t *testing.T) {
	sum := signed(typed, main)
	for name, h := range map[string]http.Header{
		"github": github(main),
		"gitea": headers("Content-Type", "application/json", "X-Gitea-Event", "push", "X-Gitea-Delivery", "f6266f16-1bf3-46a5-9ea4-602e06ead473", "X-Gitea-Signature", sum,
			"X-Gogs-Event", "push", "X-Gogs-Signature", sum, "X-GitHub-Event", "push", "X-GitHub-Delivery", "f6266f16-1bf3-46a5-9ea4-602e06ead473", "X-Hub-Signature", "sha1=00", "X-Hub-Signature-256", "sha256="+sum),
		"forgejo":           headers("X-Forgejo-Event", "push", "X-Forgejo-Signature", sum, "X-Gitea-Event", "push", "X-Gitea-Signature", sum, "X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+sum),
		"gitea before 1.17": headers("X-Gitea-Event", "push", "X-Gitea-Signature", sum),
		"gitlab":            headers("User-Agent", "GitLab/16.4.0", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e", "X-Gitlab-Token", typed),
		"gitlab, signed":    standard(main, "msg_1", time.Now()),
	} {
		b := newBench(t)
		if code, hints := b.post(h, main); code != http.StatusAccepted || hints != 1 {
			t.Errorf("%s: %d, %d hints", name, code, hints)
		}
		want := "dialect=" + strings.FieldsFunc(name, func(r rune) bool { return r < 'a' })[0]
		if said := b.log.String(); !strings.Contains(said, want) || !strings.Contains(said, "outcome=hint") || strings.Contains(said, typed) || strings.Contains(said, "acme") {
			t.Errorf("%s: logged %s", name, said)
		}
		b.share(t, "another-horse-battery-staple\n")
		for _, id := range []string{"Webhook-Id", "X-Gitea-Delivery", "X-Github-Delivery", "X-Gitlab-Event-Uuid"} {
			h.Del(id)
		}
		if code, hints := b.post(h, main); code != http.StatusUnauthorized || hints != 0 {
			t.Errorf("%s, of another secret: %d, %d hints", name, code, hints)
		}
	}
}

// TestSignaturesAreThoseOfOthers holds ours against what the documents of GitHub
// and of Standard Webhooks print.
func TestSignaturesAreThoseOfOthers(t *testing.T) {
	for _, c := range []struct {
		secret, body string
		header       http.Header
	}{
		{"It's a Secret to Everybody", "Hello, World!", headers("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")},
		{key, `{"test": 2432232314}`, headers("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330", "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")},
	} {
		secrets, err := parse(c.secret)
		if err != nil || !authentic(proofs(c.header, time.Unix(1614265330, 0)), []byte(c.body), secrets) {
			t.Errorf("%v is not authentic (%v)", c.header, err)
		}
	}
}

func TestASecretIsReplacedWithoutAGap(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		file string
		code int
	}{
		{typed, 202}, {"the-new-secret-of-2026\n" + typed + "\n", 202}, {"the-new-secret-of-2026\n", 401},
		{"short", 503}, {"", 503}, {strings.Repeat("x", 5000), 503}, {"whsec_!!!!!!!!!!!!!!!!", 503}, {strings.Repeat(typed+"\n", 5), 503},
		{"  " + typed + "\r\n\n", 202},
	} {
		b.share(t, c.file)
		if code, _ := b.post(github(main), main); code != c.code {
			t.Errorf("%.40q: %d, want %d", c.file, code, c.code)
		}
	}
	os.Remove(b.file)
	if code, _ := b.post(github(main), main); code != http.StatusServiceUnavailable {
		t.Errorf("without a secret: %d", code)
	}
	if said := b.log.String(); strings.Count(said, "cannot be checked") != 2 || strings.Contains(said, "short\"") {
		t.Errorf("logged %s", said)
	}
}

func TestWhatIsNotAuthenticIsRefused(t *testing.T) {
	right := signed(typed, main)
	for name, h := range map[string]http.Header{
		"no signature":             {},
		"sha1 alone":               headers("X-Hub-Signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"),
		"sha1 in its place":        headers("X-Hub-Signature-256", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"),
		"an empty one":             headers("X-Hub-Signature-256", ""),
		"a name alone":             headers("X-Hub-Signature-256", "sha256="),
		"digits alone":             headers("X-Hub-Signature-256", right),
		"63 digits":                headers("X-Hub-Signature-256", "sha256="+right[1:]),
		"62 digits":                headers("X-Hub-Signature-256", "sha256="+right[2:]),
		"66 digits":                headers("X-Hub-Signature-256", "sha256="+right+"00"),
		"a shouted name":           headers("X-Hub-Signature-256", "SHA256="+right),
		"spaces":                   headers("X-Hub-Signature-256", "sha256= "+right),
		"unicode":                  headers("X-Hub-Signature-256", "sha256="+strings.Repeat("０", 64)),
		"twice":                    headers("X-Hub-Signature-256", "sha256="+right, "X-Hub-Signature-256", "sha256="+right),
		"two in one":               headers("X-Hub-Signature-256", "sha256="+right+",sha256="+right),
		"one right and one wrong":  headers("X-Hub-Signature-256", "sha256="+right, "X-Gitea-Signature", strings.Repeat("0", 64)),
		"of another body":          headers("X-Hub-Signature-256", "sha256="+signed(typed, main+" ")),
		"of an empty secret":       headers("X-Hub-Signature-256", "sha256="+signed("", main)),
		"an empty token":           headers("X-Gitlab-Token", ""),
		"a part of the token":      headers("X-Gitlab-Token", typed[:len(typed)-1]),
		"more than the token":      headers("X-Gitlab-Token", typed+typed),
		"a token twice":            headers("X-Gitlab-Token", typed, "X-Gitlab-Token", typed),
		"an old time":              standard(main, "msg_1", time.Now().Add(-6*time.Minute)),
		"a time to come":           standard(main, "msg_1", time.Now().Add(6*time.Minute)),
		"another version":          headers("webhook-id", "1", "webhook-timestamp", strconv.FormatInt(time.Now().Unix(), 10), "webhook-signature", "v2,"+strings.Repeat("A", 43)+"="),
		"no time":                  headers("webhook-id", "1", "webhook-signature", "v1,"+strings.Repeat("A", 43)+"="),
		"a time that overflows":    headers("webhook-id", "1", "webhook-timestamp", "9223372036854775808", "webhook-signature", "v1,"+strings.Repeat("A", 43)+"="),
		"a method by its override": headers("X-HTTP-Method-Override", "GET"),
	} {
		b := newBench(t)
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, Path, strings.NewReader(main))
		r.Header = h
		b.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Body.Len() > 0 || len(w.Header()) > 0 || b.hints != 0 {
			t.Errorf("%s: %d %v %q, %d hints", name, w.Code, w.Header(), w.Body, b.hints)
		}
		if said := b.log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "bad_signature=1") {
			t.Errorf("%s: logged %s", name, said)
		}
	}
	moved := standard(main, "msg_1", time.Now())
	moved.Set(standardID, "msg_2") // the ID is signed
	if code, _ := newBench(t).post(moved, main); code != http.StatusUnauthorized {
		t.Errorf("another ID: %d", code)
	}
}

// TestWhatIsOddAndAuthenticIsAHint: a push must not be lost because its payload is
// not as we know it.
func TestWhatIsOddAndAuthenticIsAHint(t *testing.T) {
	for name, body := range map[string]string{
		"our branch":          main,
		"nothing":             "",
		"no JSON":             "\x1f\x8b\x08 a gzip bomb is not opened",
		"a form":              url.Values{"payload": {other}}.Encode(),
		"null":                "null",
		"nulls":               `{"ref":null,"commits":null,"repository":null}`,
		"no ref":              `{"commits":[]}`,
		"an empty ref":        `{"ref":""}`,
		"a short ref":         `{"ref":"main"}`,
		"a ref of a number":   `{"ref":5}`,
		"a ref of a list":     `{"ref":[]}`,
		"a list":              `[]`,
		"something after it":  other + "x",
		"a repository of ill": `{"repository":{"links":{"clone":"x"}},"commits":[{}],"ref":{}}`,
		"depth":               strings.Repeat(`{"ref":[`, 100_000),
		"one that is deleted": `{"ref":"refs/heads/main","after":"0000000000000000000000000000000000000000"}`,
	} {
		if code, hints := newBench(t).post(github(body), body); code != http.StatusAccepted || hints != 1 {
			t.Errorf("%s: %d, %d hints", name, code, hints)
		}
	}
	upper := headers("X-Hub-Signature-256", "sha256="+strings.ToUpper(signed(typed, main)))
	if code, hints := newBench(t).post(upper, main); code != http.StatusAccepted || hints != 1 {
		t.Errorf("upper case: %d, %d hints", code, hints)
	}
	wrong := github(main)
	wrong.Set("Content-Type", "text/html")
	wrong.Set("Content-Encoding", "gzip")
	if code, hints := newBench(t).post(wrong, main); code != http.StatusAccepted || hints != 1 {
		t.Errorf("another content type: %d, %d hints", code, hints)
	}
}

func TestWhatIsSurelyNotOfTheBranchIsNoHint(t *testing.T) {
	for _, c := range []struct {
		event, body string
		hints       int
	}{
		{"push", other, 0},
		{"push", `{"ref":"refs/tags/main"}`, 0},
		{"push", `{"ref":"refs/heads/main/x"}`, 0},
		{"push", `{"ref":"refs/heads/Main"}`, 0},
		{"issues", `{"action":"opened"}`, 0},
		{"pull_request", main, 0},
		{"ping", `{"zen":"Keep it logically awesome."}`, 1},
		{"", main, 1},
		{"push\nlevel=ERROR", main, 1},
	} {
		b := newBench(t)
		h := github(c.body)
		h["X-Github-Event"] = []string{c.event}
		if code, hints := b.post(h, c.body); code != http.StatusAccepted || hints != c.hints {
			t.Errorf("%q %s: %d, %d hints", c.event, c.body, code, hints)
		}
		if said := b.log.String(); strings.Count(said, "\n") != 1 || strings.Contains(said, "ERROR") {
			t.Errorf("logged %s", said)
		}
	}
}

func TestWhatIsOfAPullRequestIsHeardByWhoAnswersThem(t *testing.T) {
	for event, want := range map[string]int{"pull_request": 1, "pull_request_sync": 1, "pull_request_review": 1, "issue_comment": 1, "issues": 0, "push": 0} {
		b, heard := newBench(t), 0
		b.Pulls = func() { heard++ }
		h := github(other)
		h["X-Github-Event"] = []string{event}
		if code, hints := b.post(h, other); code != http.StatusAccepted || hints != 0 || heard != want {
			t.Errorf("%s: %d, %d hints, heard %d times", event, code, hints, heard)
		}
	}
}

// TestAQueueIsHeardByWhoAnswersPullRequests, by the shapes of GitHub's merge_group and
// GitLab's pipelines, of which only those of merge requests can be of a train.
func TestAQueueIsHeardByWhoAnswersPullRequests(t *testing.T) {
	train := `{"object_kind":"pipeline","object_attributes":{"id":31,"iid":3,"ref":"seven","tag":false,"sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","source":"merge_request_event","status":"pending"},"merge_request":{"id":1,"iid":7,"target_branch":"main"}}`
	for _, c := range []struct {
		event, body string
		want        int
	}{
		{"merge_group", `{"action":"checks_requested","merge_group":{"head_sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","head_ref":"refs/heads/gh-readonly-queue/main/pr-7-1111111111111111111111111111111111111111","base_sha":"1111111111111111111111111111111111111111","base_ref":"refs/heads/main"},"repository":{"id":1}}`, 1},
		{"Pipeline Hook", train, 1},
		{"Pipeline Hook", strings.Replace(train, "merge_request_event", "push", 1), 0},
		{"Pipeline Hook", "payload=%7B", 1},
		{"push", `{"ref":"refs/heads/gh-readonly-queue/main/pr-7-1111111111111111111111111111111111111111"}`, 0},
	} {
		b, heard := newBench(t), 0
		b.Pulls = func() { heard++ }
		h := github(c.body)
		h["X-Github-Event"] = []string{c.event}
		if code, hints := b.post(h, c.body); code != http.StatusAccepted || hints != 0 || heard != c.want {
			t.Errorf("%s %s: %d, %d hints, heard %d times", c.event, c.body, code, hints, heard)
		}
	}
}

func TestAReplayIsNoHint(t *testing.T) {
	b := newBench(t)
	once := github(main)
	once.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	for _, c := range []struct {
		header http.Header
		hints  int
	}{
		{once, 1}, {once, 0}, {standard(main, "msg_1", time.Now()), 1}, {standard(main, "msg_1", time.Now()), 0}, {standard(main, "msg_2", time.Now()), 1},
		{github(main), 1}, {github(main), 1}, // without a name nothing can be told
	} {
		if code, hints := b.post(c.header, main); code != http.StatusAccepted || hints != c.hints {
			t.Errorf("%v: %d, %d hints, want %d", c.header, code, hints, c.hints)
		}
	}
	forged := once.Clone()
	forged.Set("X-GitHub-Delivery", "later")
	forged.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
	b.post(forged, main)
	once.Set("X-GitHub-Delivery", "later")
	if _, hints := b.post(once, main); hints != 1 {
		t.Error("one that was not authentic counts as a delivery")
	}
}

func TestWhatBecameOfEachRequestIsHeard(t *testing.T) {
	b := newBench(t)
	heard := []string{}
	b.Heard = func(d Dialect, o Outcome) { heard = append(heard, string(d)+" "+string(o)) }
	b.post(github(main), main)
	b.post(standard(main, "msg_1", time.Now()), main)
	b.post(standard(main, "msg_1", time.Now()), main)
	b.post(github(other), other)
	b.post(headers("X-Gitea-Event", "push"), main)
	b.post(github(main), strings.Repeat(" ", MaxBody+1))
	b.share(t, "")
	b.post(github(main), main)
	b.Secrets = func() ([]shared, error) { panic("a defect") }
	b.post(github(main), main)
	want := []string{"github hint", "gitlab hint", "gitlab replayed", "github other", "gitea bad_signature", "github too_large", "github unchecked", "github defect"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q\nwant  %q", heard, want)
	}
}

func TestDeliveriesAreForgottenInTime(t *testing.T) {
	s := newSeen(10)
	for i := range 1000 {
		if s.again(strconv.Itoa(i)) || !s.again(strconv.Itoa(max(0, i-10))) {
			t.Fatalf("at %d", i)
		}
		if n := len(s.now) + len(s.older); n > 20 {
			t.Fatalf("%d are held", n)
		}
	}
	if s.again("0") {
		t.Error("the first one is still known")
	}
}

func TestOnlyThePathAndItsMethodAreHeard(t *testing.T) {
	for _, c := range []struct {
		method, target string
		code           int
	}{
		{"POST", "/hook", 202}, {"POST", "/hook?x=1", 202}, {"POST", "http://elsewhere/hook", 202},
		{"GET", "/hook", 405}, {"HEAD", "/hook", 405}, {"PUT", "/hook", 405}, {"post", "/hook", 405}, {"OPTIONS", "/hook", 405}, {"TRACE", "/hook", 405},
		{"POST", "/", 404}, {"POST", "//hook", 404}, {"POST", "/hook/", 404}, {"POST", "/Hook", 404}, {"POST", "/hook/../metrics", 404}, {"POST", "/x/../hook", 404},
		{"POST", "/%68ook", 404}, {"POST", "/hook%2f", 404}, {"POST", "/hook%00", 404}, {"GET", "/metrics", 404}, {"POST", "/hook;x", 404},
	} {
		b := newBench(t)
		r := httptest.NewRequest(c.method, c.target, strings.NewReader(main))
		r.Header = github(main)
		r.Header.Set("X-HTTP-Method-Override", "DELETE")
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Original-URL", "/metrics")
		r.Host = "evil.example"
		code, hints := b.send(r)
		if code != c.code || (hints == 1) != (c.code == 202) {
			t.Errorf("%s %s: %d, %d hints", c.method, c.target, code, hints)
		}
		if strings.Contains(b.log.String(), "evil") {
			t.Errorf("logged %s", b.log.String())
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	most := strings.Repeat(" ", MaxBody)
	for name, c := range map[string]struct {
		header http.Header
		length int64
		body   io.Reader
		code   int
	}{
		"the most":              {github(most), MaxBody, strings.NewReader(most), 202},
		"one more":              {github(most + " "), MaxBody + 1, strings.NewReader(most + " "), 413},
		"one more, in chunks":   {github(most + " "), -1, strings.NewReader(most + " "), 413},
		"chunks without an end": {github(most), -1, endless{}, 413},
		"one that is cut":       {github(main), 500, io.MultiReader(strings.NewReader(main), broken{}), 400},
		"unsigned, never read":  {http.Header{}, -1, broken{}, 401},
		"a claim of terabytes":  {http.Header{}, 1 << 40, broken{}, 413},
	} {
		b := newBench(t)
		r := httptest.NewRequest(http.MethodPost, Path, c.body)
		r.Header, r.ContentLength = c.header, c.length
		if code, hints := b.send(r); code != c.code || (hints == 1) != (c.code == 202) {
			t.Errorf("%s: %d, %d hints", name, code, hints)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("unexpected EOF") }

func TestADefectIsAnAnswer(t *testing.T) {
	b := newBench(t)
	b.Hint = func(func(string) bool) { panic("send on closed channel") }
	if code, _ := b.post(github(main), main); code != http.StatusInternalServerError || !strings.Contains(b.log.String(), "a defect of reconciler") {
		t.Errorf("%d %s", code, b.log.String())
	}
}

func FuzzHook(f *testing.F) {
	f.Add("X-Hub-Signature-256", "sha256="+signed(typed, main), "push", []byte(main))
	f.Add("X-Gitea-Signature", signed(typed, other), "push", []byte(other))
	f.Add("X-Gitlab-Token", typed, "Push Hook", []byte(`{"ref":[null]}`))
	f.Add("Webhook-Signature", "v1,A v1,B", "System Hook", []byte("payload=%7B%7D"))
	f.Add("X-Forgejo-Signature", "Ａ", "\x00", []byte("\xff"))
	b := newBench(f)
	b.Handler.Hint = func(func(string) bool) {}
	b.limit.SetLimit(1e9)
	f.Fuzz(func(t *testing.T, name, value, what string, body []byte) {
		h := http.Header{"X-Github-Event": {what}}
		h[http.CanonicalHeaderKey(name)] = []string{value}
		b.log.Reset()
		code, _ := b.post(h, string(body))
		right := value == typed && http.CanonicalHeaderKey(name) == gitlabToken ||
			strings.EqualFold(strings.TrimPrefix(value, "sha256="), signed(typed, string(body)))
		if code != http.StatusUnauthorized && (code != http.StatusAccepted || !right && value != key) {
			t.Errorf("%s: %q of %q is answered %d", name, value, body, code)
		}
		if strings.Count(b.log.String(), "\n") > 1 {
			t.Errorf("logged %s", b.log.String())
		}
	})
}

func TestAPushHintsTheBranchesThatItMayBeOf(t *testing.T) {
	b := newBench(t)
	b.Branches = []string{"main", "next"}
	var hinted []string
	b.Hint = func(of func(string) bool) {
		hinted = nil
		for _, branch := range []string{"main", "next"} {
			if of(branch) {
				hinted = append(hinted, branch)
			}
		}
	}
	for ref, want := range map[string]string{"refs/heads/main": "main", "refs/heads/next": "next", "": "main next"} {
		body := `{"ref":"` + ref + `"}`
		if code, _ := b.post(http.Header{"X-Github-Event": {"push"}, "X-Gitlab-Token": {typed}}, body); code != http.StatusAccepted || strings.Join(hinted, " ") != want {
			t.Errorf("%s is answered %d and hints %q", body, code, hinted)
		}
	}
}
