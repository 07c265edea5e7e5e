package page

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
)

// patience bounds what is waited for in a browser.
const patience = 30 * time.Second

// window is one page in a browser, and what it complained about.
type window struct {
	t   *testing.T
	ctx context.Context
	url string // of the daemon

	mu    sync.Mutex
	wrong []string
	asked []string // every address that was asked for
}

// open serves a board to whoever may see it, and opens a browser.
func open(t *testing.T, b *web.Board, a web.Access) *window {
	t.Helper()
	if os.Getenv("RECONCILER_E2E") != "1" {
		t.Skip("drives a browser; RECONCILER_E2E=1 runs it")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("RECONCILER_E2E=1 needs chromium: %v; .ci/run installs it", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, end := context.WithCancel(context.Background())
	var over sync.WaitGroup
	over.Go(func() {
		handler := web.New(web.Options{Board: b, History: webtest.Past{Count: 120}, Now: webtest.Noon})
		if err := web.Serve(serving, l, web.NewGuard(a).Protect(handler)); err != nil {
			t.Error(err)
		}
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 900))
	allocator, close := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(allocator)
	p := &window{t: t, ctx: ctx, url: "http://" + l.Addr().String()}
	t.Cleanup(func() {
		leave()
		close()
		end()
		over.Wait()
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.quiet)
	return p
}

// hear notes what went wrong in the page, whatever a test looks for.
func (p *window) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.wrong = append(p.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		p.wrong = append(p.wrong, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	}
}

// quiet says what the page complained about, and what it asked of others.
func (p *window) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, wrong := range p.wrong {
		p.t.Errorf("the browser complains: %s", wrong)
	}
	for _, url := range p.asked {
		if !strings.HasPrefix(url, p.url+"/") {
			p.t.Errorf("the page asks for %s", url)
		}
	}
}

// expects takes a complaint that has to come.
func (p *window) expects(part string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.wrong, func(w string) bool { return strings.Contains(w, part) })
	if i < 0 {
		p.t.Errorf("the browser does not complain of %s, but %q", part, p.wrong)
		return
	}
	p.wrong = slices.Delete(p.wrong, i, i+1)
}

func (p *window) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// set asks the browser for something of its protocol.
func set[P, R any](p *window, command cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, command, params); err != nil {
		p.t.Fatal(err)
	}
}

func (p *window) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.url+path), chromedp.WaitReady("#part"))
}

// eval is what an expression of JavaScript comes to in the page.
func eval[T any](p *window, expression string) (out T) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// until waits for an expression to be true. While another page is on its way there is
// nothing to ask.
func (p *window) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("(() => { try { return !!("+expression+") } catch { return false } })()"))
		if is && err == nil {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("it does not become true that %s (%v); the page reads\n%s", expression, err, p.text())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// text is what a person reads.
func (p *window) text() string { return eval[string](p, "document.body.innerText") }

func (p *window) says(words ...string) {
	p.t.Helper()
	read := strings.Join(strings.Fields(p.text()), " ")
	for _, w := range words {
		if !strings.Contains(read, w) {
			p.t.Errorf("%s does not say %q:\n%s", eval[string](p, "location.pathname"), w, read)
		}
	}
}

// saysSoon waits for words.
func (p *window) saysSoon(words string) {
	p.t.Helper()
	p.until("document.body.innerText.replace(/\\s+/g, ' ').includes(" + quote(words) + ")")
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

// keys presses some, one after the other.
func (p *window) keys(all ...string) {
	p.t.Helper()
	for _, k := range all {
		p.do(chromedp.KeyEvent(k))
	}
}

// focus is what the keyboard is at, as a person would name it.
func (p *window) focus() string {
	return eval[string](p, `(e => e.tagName.toLowerCase() + " " + (e.id === "main" ? "main" : (e.innerText || e.id).trim().split("\n")[0]))(document.activeElement)`)
}

// ring says that whatever has the focus is seen to have it.
func (p *window) ring() bool {
	return eval[bool](p, `(e => { const s = getComputedStyle(e), r = e.getBoundingClientRect(); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.width > 0 && r.left >= 0 && r.right <= innerWidth })(document.activeElement)`)
}

// sized makes the window one of a phone, or of another width.
func (p *window) sized(width, height int64) {
	p.t.Helper()
	set(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
}

func (p *window) scheme(name string) {
	p.t.Helper()
	set(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// tooFaint are texts whose contrast is below what WCAG 2.1 asks for (4.5).
const tooFaint = `(() => {
  const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c } return [255, 255, 255] };
  const wrong = new Set();
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
    const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) wrong.add(e.tagName + "." + e.className + " " + contrast.toFixed(2) + " " + e.innerText.slice(0, 30));
  }
  return [...wrong];
})()`

// outside is what reaches beyond the window.
const outside = `[...document.querySelectorAll("body *")].filter(e => !e.closest(".skip, .hidden, thead") && e.getClientRects().length && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < 0)).map(e => e.tagName + "." + e.className + " " + e.innerText.slice(0, 40)).slice(0, 5)`

// Keys.
const (
	tab   = kb.Tab
	enter = kb.Enter
)
