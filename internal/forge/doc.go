// Package forge asks GitHub, GitLab, Gitea and Forgejo about pull requests, and
// answers there: comments, reactions, the status of a commit. It also keeps issues of
// our own, and proposes changes of one file, each on a branch made for it.
//
// It knows how each of them is asked, through its own Go client, and what each
// cannot tell. A forge is a remote machine: what it answers is capped, its numbers
// and hashes are checked, and its errors are shown without what would steer a
// terminal. Authors, titles and comments are what strangers wrote. They are handed on
// as valid UTF-8 and otherwise as they are: whoever shows them escapes them.
//
// Nothing that writes is sent twice, and the token goes to the configured host alone.
//
// It must not know what a comment says, who may command what, nor git.
//
//	client, err := forge.New(forge.Options{
//		Kind:  forge.Gitea,
//		URL:   "https://git.example.com",
//		Repo:  "acme/fleet",
//		Token: func() (secret.Bytes, error) { return secret.Of(token), nil },
//	})
//	pulls, err := client.Pulls(ctx, "main")
package forge
