// Package git follows one branch of a fleet repo and reads its commits.
//
// The clone is bare, of one branch with its whole history and without tags: a
// fetch of one commit then moves a few kilobytes. Nothing is ever checked out;
// a commit is read from its tree objects as an [io/fs.FS], each object checked
// against its hash. A tree that is missing or damaged is an error and never an
// empty folder, because a cluster that is not in a commit means something.
// What a fleet repo may not hold (links, submodules, LFS pointers, names that
// are no paths) is an error too.
//
// When the remote is gone, [Repo.Fetch] fails and [Repo.Last] and [Repo.At]
// go on. A clone that is found damaged is made anew by the next Fetch.
//
// It knows git objects. It must not know what the files mean, nor judge whether
// a commit may be acted on.
//
//	repo, err := git.Open(ctx, "/var/lib/reconciler/git/acme", git.Remote{URL: "file:///srv/fleet.git", Branch: "main", Path: "."})
//	commit, err := repo.Fetch(ctx)
//	tree, err := repo.At(commit)
//	fleet := desired.Load(tree, desired.Options{})
package git
