// Package wire asks git servers for a branch: what it stands at, and the objects
// of a commit, over HTTPS and over SSH.
//
// It is the reading half of git's pack protocol (gitprotocol-pack(5),
// gitprotocol-http(5)). Over HTTPS an unchanged branch costs one small request
// whatever else the repository holds (ls-refs of gitprotocol-v2(5)); where a
// server does not know that, and over SSH, it lists its refs. What a server says
// is hostile: lists are capped, silence ends, a redirect to another host is not
// followed, and a pack is handed on as it comes, to be looked at by whoever
// writes it.
//
// It must not know what a commit is for.
//
//	server := wire.NewHTTPS("https://git.internal/acme/fleet.git", wire.Options{})
//	tip, err := server.Tip(ctx, "refs/heads/main")
//	err = server.Pack(ctx, tip, nil, file)
package wire
