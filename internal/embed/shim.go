package embed

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// socketVariable names the socket of a node's systemd to what runs on the node.
const socketVariable = "RECONCILER_EMBED_SYSTEMD"

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
