package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What forges sign with. GitHub sends X-Hub-Signature-256; Gitea sends that and a
// header of its own, Forgejo both and its own. GitLab sends the secret itself, or
// signs as Standard Webhooks (standardwebhooks.com) say. Each proof that a request
// carries must be right, and one it must carry. X-Hub-Signature and
// X-Gogs-Signature prove nothing here: the first is of SHA-1, the second of a
// forge that nobody asked for.

// Dialect is whose webhook a request is.
type Dialect string

// The dialects that are heard.
const (
	GitHub  Dialect = "github"
	GitLab  Dialect = "gitlab"
	Gitea   Dialect = "gitea"
	Forgejo Dialect = "forgejo"
)

// Headers that prove where a request comes from.
const (
	hubSignature      = "X-Hub-Signature-256"
	giteaSignature    = "X-Gitea-Signature"
	forgejoSignature  = "X-Forgejo-Signature"
	gitlabToken       = "X-Gitlab-Token"
	standardSignature = "Webhook-Signature"
	standardID        = "Webhook-Id"
	standardTime      = "Webhook-Timestamp"
)

// skew bounds how far the clock of a forge may be from ours.
const skew = 5 * time.Minute

// dialect is whose a request claims to be.
func dialect(h http.Header) Dialect {
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := h[name]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has(forgejoSignature, "X-Forgejo-Event"):
		return Forgejo
	case has(giteaSignature, "X-Gitea-Event"):
		return Gitea
	case has(gitlabToken, standardSignature, "X-Gitlab-Event"):
		return GitLab
	}
	return GitHub
}

// proof holds a body against some secret. True: it is right.
type proof func(body []byte, s shared) bool

// proofs are what a request carries; none: it is not authentic, whatever it says.
// They are taken apart before the body is read, so that whoever has none makes
// us read nothing.
func proofs(h http.Header, now time.Time) []proof {
	var all []proof
	for _, c := range []struct {
		header string
		read   func(value string) proof
	}{
		{hubSignature, func(v string) proof {
			digits, ok := strings.CutPrefix(v, "sha256=")
			if !ok {
				return nil
			}
			return hexProof(digits)
		}},
		{giteaSignature, hexProof},
		{forgejoSignature, hexProof},
		{gitlabToken, tokenProof},
		{standardSignature, func(v string) proof { return standardProof(h, v, now) }},
	} {
		values, given := h[c.header]
		if !given {
			continue
		}
		if len(values) != 1 {
			return nil
		}
		p := c.read(values[0])
		if p == nil {
			return nil
		}
		all = append(all, p)
	}
	return all
}

// authentic says whether all of the proofs are right, each by some secret. How long
// it takes does not depend on which secret is how wrong.
func authentic(all []proof, body []byte, secrets []shared) bool {
	right := len(all) > 0
	for _, p := range all {
		one := false
		for _, s := range secrets {
			one = p(body, s) || one
		}
		right = right && one
	}
	return right
}

// hexProof takes the HMAC of the body in 64 hexadecimal digits, of either case.
func hexProof(digits string) proof {
	claimed, err := hex.DecodeString(digits)
	if err != nil || len(claimed) != sha256.Size {
		return nil
	}
	return func(body []byte, s shared) bool { return hmac.Equal(claimed, sum(s.text.Reveal(), body)) }
}

// tokenProof takes the secret itself. Digests are compared, because comparing
// texts would tell how long the secret is.
func tokenProof(token string) proof {
	claimed := sha256.Sum256([]byte(token))
	return func(_ []byte, s shared) bool {
		want := sha256.Sum256(s.text.Reveal())
		return subtle.ConstantTimeCompare(claimed[:], want[:]) == 1
	}
}

// standardProof takes "v1,BASE64", or several with spaces between while a key is
// being replaced, over the ID, the time and the body.
func standardProof(h http.Header, value string, now time.Time) proof {
	id, at := h[standardID], h[standardTime]
	if len(id) != 1 || len(at) != 1 || id[0] == "" || len(value) > 1024 {
		return nil
	}
	seconds, err := strconv.ParseInt(at[0], 10, 64)
	if err != nil || seconds < now.Add(-skew).Unix() || seconds > now.Add(skew).Unix() {
		return nil
	}
	var claimed [][]byte
	for _, one := range strings.Fields(value) {
		text, ok := strings.CutPrefix(one, "v1,")
		if raw, err := base64.StdEncoding.DecodeString(text); ok && err == nil && len(raw) == sha256.Size {
			claimed = append(claimed, raw)
		}
	}
	if claimed == nil {
		return nil
	}
	return func(body []byte, s shared) bool {
		right := false
		if s.signer.Len() == 0 {
			return false
		}
		want := sum(s.signer.Reveal(), []byte(id[0]+"."+at[0]+"."), body)
		for _, c := range claimed {
			right = hmac.Equal(c, want) || right
		}
		return right
	}
}

func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}
