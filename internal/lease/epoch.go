package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// term is one holding of a lease, as it is on disk: the last one, held or not.
type term struct {
	Epoch  uint64    `json:"epoch"`
	Holder string    `json:"holder"`
	PID    int       `json:"pid"`
	Since  time.Time `json:"since"`
}

// readTerm is the last term; the zero term where there was none.
func readTerm(path string) (term, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return term{}, nil
	}
	if err != nil {
		return term{}, fmt.Errorf("read the epoch: %w", err)
	}
	var t term
	if err := json.Unmarshal(data, &t); err != nil || t.Epoch == 0 {
		return term{}, fmt.Errorf("read the epoch: %s is damaged; restore it from a backup, or remove it and run `reconciler takeover`, which asks the nodes for the highest epoch that they saw", path)
	}
	return t, nil
}

func writeTerm(path string, t term) error {
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write the epoch: %w", err)
	}
	if err := durable.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the epoch: %w; nothing is done until it can be written", err)
	}
	return nil
}

// after is the epoch that follows another.
func after(epoch uint64) (uint64, error) {
	if epoch >= math.MaxInt64 { // node scripts count in signed 64 bits
		return 0, fmt.Errorf("epoch %d is the last there is; a node or the state folder lied", epoch)
	}
	return epoch + 1, nil
}
