// Package hook hears from a forge that somebody pushed: an [http.Handler] for the
// webhooks of GitHub, GitLab, Gitea and Forgejo, and the server that it runs in.
//
// A hook is a hint that the repo has something new, and nothing else is taken from
// it: what is followed, and whether it may be, stands in reconciler.yaml and in the
// repo itself. So whatever is odd about a request that is authentic is still a
// hint, and one that is not authentic costs little and changes nothing.
//
// It knows how forges sign and what a push to another branch looks like. It must
// not know what a hint brings about, nor repos or git.
//
//	secrets := hook.File("/etc/reconciler/hook.secret")
//	h := hook.New(hook.Options{Branches: []string{"main"}, Secrets: secrets, Hint: hint}, log)
//	listener, err := net.Listen("tcp", "127.0.0.1:9181")
//	err = hook.Serve(ctx, listener, h)
package hook
