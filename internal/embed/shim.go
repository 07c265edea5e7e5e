package embed

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// What runs on a node learns of it by its environment.
const (
	RootVariable    = "RECONCILER_NODE_ROOT"     // the folder that is its file system, for the node script
	AddressVariable = "RECONCILER_EMBED_ADDRESS" // the node's own, on loopback
	SharedVariable  = "RECONCILER_EMBED_SHARED"  // a folder that all nodes of the fleet see
	socketVariable  = "RECONCILER_EMBED_SYSTEMD" // the socket of its systemd
)

// Main is what this program does on an embedded node, where it goes by another
// name. It returns where it was not called by one.
func Main() {
	socket := os.Getenv(socketVariable)
	if socket == "" {
		return
	}
	switch tool := filepath.Base(os.Args[0]); tool {
	case "systemctl", "journalctl":
		syscall.Exit(ask(socket, asked{tool, os.Args[1:]})) // os.Exit rests a second where the race detector is built in
	}
}

// ask hands a call to the node's systemd.
func ask(socket string, q asked) int {
	var t told
	err := func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := json.NewEncoder(conn).Encode(q); err != nil {
			return err
		}
		return json.NewDecoder(conn).Decode(&t)
	}()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: the node's systemd does not answer: %v\n", q.Tool, err)
		return 1
	}
	fmt.Fprint(os.Stdout, t.Stdout)
	fmt.Fprint(os.Stderr, t.Stderr)
	return t.Code
}
