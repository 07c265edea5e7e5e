package hook

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// event is what a request says that happened; empty: it does not say it in one
// word of a forge.
func event(h http.Header) string {
	for _, name := range []string{"X-Forgejo-Event", "X-Gitea-Event", "X-Github-Event", "X-Gitlab-Event"} {
		if values := h[name]; len(values) == 1 && isWord(values[0]) {
			return values[0]
		}
	}
	return ""
}

// isWord keeps out of the log what no forge calls an event.
func isWord(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_ ") == ""
}

// concerns says whether an authentic request may be of a push to a branch. False
// only where it surely is not: polling once for nothing costs little, and a push
// that is not heard costs an interval.
func concerns(what string, body []byte, branch string) bool {
	if what != "" && !slices.Contains([]string{"push", "Push Hook", "System Hook", "ping"}, what) {
		return false
	}
	var payload struct{ Ref string }
	if json.Unmarshal(body, &payload) != nil {
		return true // also a form, which GitHub can be set to send
	}
	// refs/tags/main is not the branch main.
	return !strings.HasPrefix(payload.Ref, "refs/") || payload.Ref == "refs/heads/"+branch
}

// ofPulls says whether an event is of a pull request, or of a queue of them. Forges have
// many words for these, and asking once for nothing costs little.
func ofPulls(what string, body []byte) bool {
	switch {
	case strings.HasPrefix(what, "pull_request"), strings.HasPrefix(what, "issue_comment"), what == "merge_group":
		return true
	case what == "Pipeline Hook": // that a train has another commit, GitLab says in no other way
		return ofTrain(body)
	}
	return slices.Contains([]string{"Merge Request Hook", "Note Hook"}, what)
}

// ofTrain says whether a pipeline may be that of a merge train, which is one of a merge
// request.
func ofTrain(body []byte) bool {
	var payload struct {
		Attributes struct{ Source string } `json:"object_attributes"`
	}
	return json.Unmarshal(body, &payload) != nil || payload.Attributes.Source == "merge_request_event"
}
