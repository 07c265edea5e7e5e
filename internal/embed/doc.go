// Package embed is a fleet of nodes on this machine, without root and without a
// network beyond loopback, to show the product on and to test it. Each
// node is a folder with an SSH server, a systemd and a shell; what reaches it over
// SSH is the production code, unchanged, and what runs there is the real node
// script. It needs the GNU tools that the script needs, and a loopback of 127/8.
//
// It knows what a host with systemd looks like from a shell on it, as far as the
// node script asks. It must not know what the product wants of it. What root
// could do and we cannot (other users, other owners) it notes down and tells.
//
//	fleet, err := embed.New(embed.Options{Dir: dir, Nodes: []string{"eu-1"}, Key: key})
//	defer fleet.Close()
package embed
