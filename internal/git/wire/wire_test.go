package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/vaultfleet/reconciler/internal/git/wire"
	"github.com/vaultfleet/reconciler/internal/outbound"
)

const branch = "refs/heads/main"

type server interface {
	Tip(ctx context.Context, ref string) (string, error)
	Pack(ctx context.Context, want string, haves []string, to io.Writer) error
}

// ways are all by which a repository can be reached.
func ways(t *testing.T, r repository) map[string]server {
	web, old := serve(t, r), serve(t, r)
	old.front = func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Git-Protocol") // a server of before 2018
		return false
	}
	return map[string]server{"https": web.open(t, r, wire.Options{}), "https, protocol 0": old.open(t, r, wire.Options{}), "ssh": wire.SSH{Path: r.dir, Run: shell}}
}

func TestABranchAndItsObjectsAreGotByEveryWay(t *testing.T) {
	r := newRepository(t)
	r.commit("main", "one")
	r.commit("side", "side")
	for name, s := range ways(t, r) {
		if tip, err := s.Tip(t.Context(), branch); err != nil || tip != r.git("", "rev-parse", "main") {
			t.Errorf("%s: %s %v", name, tip, err)
		}
		one := r.git("", "rev-parse", "main")
		copied := newRepository(t)
		var had, all, more bytes.Buffer
		must(t, s.Pack(t.Context(), one, nil, &had))
		two := r.commit("main", "two by "+name)
		if tip, err := s.Tip(t.Context(), branch); err != nil || tip != two {
			t.Errorf("%s: after a push: %s %v", name, tip, err)
		}
		must(t, s.Pack(t.Context(), two, nil, &all))
		must(t, s.Pack(t.Context(), two, []string{one}, &more))
		if more.Len() >= all.Len() {
			t.Errorf("%s: %d bytes of %d though something is had", name, more.Len(), all.Len())
		}
		copied.git(had.String(), "index-pack", "--stdin", "--strict")
		copied.git(more.String(), "index-pack", "--stdin", "--strict")
		copied.git("", "fsck", "--full", "--strict", two)
	}
}

func TestABranchThatIsNotThereIsToldWithThoseThatAre(t *testing.T) {
	r := newRepository(t)
	for name, s := range ways(t, r) {
		_, err := s.Tip(t.Context(), branch)
		if none, ok := errors.AsType[*wire.NoRefError](err); !ok || len(none.Branches) > 0 {
			t.Errorf("%s: of an empty repository: %v", name, err)
		}
	}
	r.commit("trunk", "one")
	r.commit("main2", "one")
	for name, s := range ways(t, r) {
		_, err := s.Tip(t.Context(), branch)
		if err == nil || !strings.Contains(err.Error(), `it has no branch main; it has "main2, trunk"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnUnchangedBranchCostsOneSmallRequest, whatever else the repository holds.
func TestAnUnchangedBranchCostsOneSmallRequest(t *testing.T) {
	r := newRepository(t)
	r.commit("main", "one")
	r.crowd(20_000)
	web := serve(t, r)
	s := web.open(t, r, wire.Options{})
	for i, most := range []int{2, 1, 1} { // it meets the server first
		if _, err := s.Tip(t.Context(), branch); err != nil {
			t.Fatal(err)
		}
		requests, sent := web.spent()
		t.Logf("poll %d: %d requests, %d bytes", i, len(requests), sent)
		if len(requests) != most || sent > 1000 {
			t.Errorf("poll %d: %q, %d bytes", i, requests, sent)
		}
	}
	if n := web.connections.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
}

func TestALoginIsReadForEachRequestAndGoesNowhereElse(t *testing.T) {
	r := newRepository(t)
	r.commit("main", "one")
	web, other := serve(t, r), serve(t, r)
	tokens := []string{"first", "second", "third"}
	s := web.open(t, r, wire.Options{Login: func() (string, string, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return "git", token, nil
	}})
	for range 2 {
		if _, err := s.Tip(t.Context(), branch); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(web.logins); got != "[git:first git:second git:third]" {
		t.Errorf("the logins were %s", got)
	}
	web.front = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusFound)
		return true
	}
	s = web.open(t, r, wire.Options{Login: func() (string, string, error) { return "git", "canary", nil }})
	if _, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), "it redirects to https://127.0.0.1") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	if requests, _ := other.spent(); len(requests) > 0 {
		t.Errorf("it was followed: %q", requests)
	}
	s = web.open(t, r, wire.Options{Login: func() (string, string, error) { return "", "", errors.New("no token_file") }})
	if _, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), "no token_file") {
		t.Errorf("%v", err)
	}
}

func TestARepositoryThatWasRenamedIsFollowedOnItsHost(t *testing.T) {
	r := newRepository(t)
	tip := r.commit("main", "one")
	web := serve(t, r)
	web.front = func(w http.ResponseWriter, r *http.Request) bool {
		rest, old := strings.CutPrefix(r.URL.RequestURI(), "/old.git")
		if old {
			http.Redirect(w, r, "/it's%20a%20fleet.git"+rest, http.StatusMovedPermanently)
		}
		return old
	}
	o := wire.Options{Roots: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	s := wire.NewHTTPS(web.URL+"/old.git", o)
	for range 2 {
		if got, err := s.Tip(t.Context(), branch); err != nil || got != tip {
			t.Errorf("%s %v", got, err)
		}
	}
	if requests, _ := web.spent(); len(requests) != 4 { // two of them the first time it was met
		t.Errorf("%q", requests)
	}
}

// pkt is a line of the protocol.
func pkt(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// TestWhatServersSayInsteadIsTold: faults, each with what to do.
func TestWhatServersSayInsteadIsTold(t *testing.T) {
	r := newRepository(t)
	r.commit("main", "one")
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, "<html>\x1b[31m</html>")
		}
	}
	body := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, text)
		}
	}
	const advert = "application/x-git-upload-pack-advertisement"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"not logged in":         {status(401), "give token_file"},
		"not there":             {status(404), "no such repository, or this login may not see it"},
		"broken":                {status(500), "500 Internal Server Error"},
		"busy":                  {status(429, "Retry-After", "120"), "asks to be left alone for 2m0s"},
		"down":                  {status(503), "503 Service Unavailable"},
		"a page":                {status(200), "not as a git repository does"},
		"nothing":               {body(advert, ""), "has no end"},
		"half a line":           {body(advert, "001e# service=git-upl"), "read its list of refs"},
		"an error line":         {body(advert, pkt("ERR no\x1b[31m access")), "the server says: no·[31m access"},
		"a length that is none": {body(advert, "zzzz"), "read its list of refs"},
		"a loop": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		}, "redirects more than"},
		"version 2 and then a page": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				body(advert, "001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n0000")(w, r)
				return
			}
			status(200)(w, r)
		}, "invalid pkt-len"},
		"refs that are none": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				body(advert, "001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n0000")(w, r)
				return
			}
			body("", pkt("../../etc/x y\n")+"0000")(w, r)
		}, "is not a ref"},
		"a page of words that steer": {body(advert, pkt("no\x1b[31m ref\n")), "is not a ref"},
		"a host with a name that steers": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://%C2%9Bcanary"+strings.Repeat("x", 5000)+"/x")
			w.WriteHeader(http.StatusFound)
		}, "it redirects to"},
		"too often, by another status": {status(403, "Retry-After", "60"), "asks to be left alone for 1m0s"},
	} {
		web := serve(t, r)
		web.front = func(w http.ResponseWriter, r *http.Request) bool {
			c.handler(w, r)
			return true
		}
		_, err := web.open(t, r, wire.Options{}).Tip(t.Context(), branch)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > 2100 {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

func TestHowLongABusyServerAsksForIsBounded(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "999999999": time.Hour, "99999999999999999999": time.Hour,
		time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
	} {
		web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		s := wire.NewHTTPS(web.URL, wire.Options{Roots: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
		_, err := s.Tip(t.Context(), branch)
		busy, ok := errors.AsType[*outbound.BusyError](err)
		if !ok || busy.RetryAfter() != want {
			t.Errorf("%q: %v", header, err)
		}
		web.Close()
	}
}

// TestARedirectIsForOneConversation: where a repository was for a while, it is not
// looked for for good.
func TestARedirectIsForOneConversation(t *testing.T) {
	r := newRepository(t)
	tip := r.commit("main", "one")
	web := serve(t, r)
	away := true
	web.front = func(w http.ResponseWriter, r *http.Request) bool {
		elsewhere := strings.HasPrefix(r.URL.Path, "/elsewhere")
		switch {
		case elsewhere && away:
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/elsewhere")
			return false
		case elsewhere:
			http.NotFound(w, r)
			return true
		case away && r.Method == http.MethodGet:
			http.Redirect(w, r, "/elsewhere"+r.URL.RequestURI(), http.StatusFound)
			return true
		}
		return false
	}
	s := web.open(t, r, wire.Options{})
	for _, away = range []bool{true, true, false, false} {
		if got, err := s.Tip(t.Context(), branch); err != nil || got != tip {
			t.Errorf("away: %v: %s %v", away, got, err)
		}
	}
}

func TestAServerSaysThatItDoesNotGiveACommit(t *testing.T) {
	r := newRepository(t)
	r.commit("main", "one")
	for name, s := range ways(t, r) {
		err := s.Pack(t.Context(), strings.Repeat("a", 40), nil, io.Discard)
		no, ok := errors.AsType[interface {
			error
			NotOurs() bool
		}](err)
		if !ok || !no.NotOurs() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatComesBesideAPackHasAnEnd too.
func TestWhatComesBesideAPackHasAnEnd(t *testing.T) {
	refs := pkt(strings.Repeat("a", 40)+" refs/heads/main\x00ofs-delta\n") + "0000"
	for name, flood := range map[string]string{"acks": pkt("ACK " + strings.Repeat("a", 40) + "\n"), "refs": ""} {
		s := wire.SSH{Path: "/x", Run: func(_ context.Context, _ string, _ io.Reader, out io.Writer) error {
			if _, err := io.WriteString(out, map[bool]string{true: refs}[flood != ""]); err != nil {
				return err
			}
			for {
				line := flood
				if line == "" {
					line = strings.Repeat(pkt(strings.Repeat("a", 40)+" refs/heads/x\n"), 1000)
				}
				if _, err := io.WriteString(out, line); err != nil {
					return err
				}
			}
		}}
		if err := s.Pack(t.Context(), strings.Repeat("a", 40), nil, io.Discard); err == nil {
			t.Errorf("%s: it ended well", name)
		}
	}
}

// TestSilenceEnds, at any moment of a conversation.
func TestSilenceEnds(t *testing.T) {
	r := newRepository(t)
	tip := r.commit("main", strings.Repeat("x", 1000))
	silent := make(chan struct{})
	defer close(silent)
	web := serve(t, r)
	cut := -1 // after how many bytes it falls silent
	web.front = func(w http.ResponseWriter, r *http.Request) bool {
		recorded := httptest.NewRecorder()
		web.backend.ServeHTTP(recorded, r)
		_, _ = w.Write(recorded.Body.Bytes()[:min(cut, recorded.Body.Len())])
		w.(*counting).ResponseWriter.(http.Flusher).Flush()
		select {
		case <-silent:
		case <-r.Context().Done():
		}
		return true
	}
	for _, cut = range []int{0, 1, 10, 100} {
		s := web.open(t, r, wire.Options{Quiet: 100 * time.Millisecond})
		if _, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), "nothing came for 100ms") {
			t.Errorf("silent after %d bytes of its refs: %v", cut, err)
		}
		if err := s.Pack(t.Context(), tip, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "nothing came for 100ms") {
			t.Errorf("silent after %d bytes of a pack: %v", cut, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("somebody had enough"))
	defer cancel()
	if _, err := web.open(t, r, wire.Options{}).Tip(ctx, branch); err == nil || !strings.Contains(err.Error(), "somebody had enough") {
		t.Errorf("%v", err)
	}
}

func TestAHostThatRunsNothingIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error
		want string
	}{
		"it cannot be reached": {func(context.Context, string, io.Reader, io.Writer) error { return errors.New("connect: refused") }, "connect: refused"},
		"there is no such repository": {func(ctx context.Context, _ string, in io.Reader, out io.Writer) error {
			return shell(ctx, "git-upload-pack /no/such/repository", in, out)
		}, "does not appear to be a git repository"},
		"it talks first": {func(_ context.Context, _ string, _ io.Reader, out io.Writer) error {
			_, err := io.WriteString(out, "Welcome to the host\n")
			return err
		}, "read its list of refs"},
		"it says nothing": {func(context.Context, string, io.Reader, io.Writer) error { return nil }, "has no end"},
	} {
		s := wire.SSH{Path: "/srv/fleet.git", Run: c.run}
		if _, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Pack(t.Context(), strings.Repeat("0", 40), nil, io.Discard); err == nil {
			t.Errorf("%s: a pack came", name)
		}
	}
}

// FuzzConversation: whatever a server says is an answer or an error.
func FuzzConversation(f *testing.F) {
	refs := pkt(strings.Repeat("a", 40)+" refs/heads/main\x00ofs-delta\n") + "0000"
	for _, seed := range []string{
		"", "0000", "zzzz", pkt("# service=git-upload-pack\n") + "0000" + refs, refs, pkt("ERR x"),
		refs + pkt("NAK\n") + pkt("\x01PACK") + "0000", refs + pkt("NAK\n") + pkt("\x03x") + "0000", refs + pkt("ACK "+strings.Repeat("a", 40)+"\n") + pkt("\x02x") + "0000",
		refs + strings.Repeat(pkt("NAK\n"), 20), refs + pkt("ERR upload-pack: not our ref"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		s := wire.SSH{Path: "/x", Run: func(_ context.Context, _ string, _ io.Reader, out io.Writer) error {
			_, _ = out.Write(said) // whoever reads may have had enough
			return nil
		}}
		tip, err := s.Tip(t.Context(), branch)
		if err == nil && len(tip) != 40 {
			t.Errorf("a tip of %q", tip)
		}
		for _, err := range []error{err, s.Pack(t.Context(), strings.Repeat("a", 40), nil, io.Discard)} {
			if err != nil && (len(err.Error()) > 2100 || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
				t.Errorf("it tells %q", err)
			}
		}
	})
}
