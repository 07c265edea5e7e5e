// Package reviewed says whether a commit of a branch is the merge of a pull request that
// was reviewed, and that the forge made.
//
// A forge signs with one key whatever is done on its pages: a merge, an edit of a file,
// a call of its API. So the signature says where a commit was made, and nothing about
// whether anybody looked at it. That is asked of the forge: which pull request the commit
// is the merge of, and who approved the very head that was merged. What the merge then
// holds is not asked, but held against the merge that we make of the same two commits.
// A forge that does not answer has not said yes.
//
// It knows pull requests, reviews and the parents of a commit. It must not know how a
// signature is checked, how trees are merged, nor what is done with the verdict.
//
//	judge := &reviewed.Judge{Forge: client, Branch: "main", Reviews: 1, Reviewers: []string{"acme/vault-ops"}, Signed: signed, Ref: repo.Ref, Merge: merge, Now: time.Now}
//	err := judge.Verify(ctx, commit, object)
package reviewed
