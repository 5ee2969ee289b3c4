package txn

import (
	"testing"
	"time"
)

func TestWhatIsDueGoesAtTheNextLook(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000, 0).Add(time.Duration(s) * time.Second) }
	c := &Coordinator{cfg: Config{AbortInterval: 10 * time.Second, ExpireInterval: time.Minute, IDExpiration: time.Hour}}
	open := &Transaction{State: Ongoing, Start: at(0), Timeout: 15 * time.Second}
	if got := c.deadline(open); !got.Equal(at(20)) {
		t.Errorf("a transaction that may take 15 s is aborted after %v, at looks every 10 s", got.Sub(at(0)))
	}
	open.Timeout = 20 * time.Second
	if got := c.deadline(open); !got.Equal(at(20)) {
		t.Errorf("one that is due at a look is aborted %v after its start", got.Sub(at(0)))
	}
	idle := &Transaction{State: Empty, Updated: at(0)}
	if got := c.deadline(idle); got.Before(at(3600)) || got.After(at(3660)) || got.Unix()%60 != 0 {
		t.Errorf("an id that may be idle for an hour is forgotten after %v, at looks every minute", got.Sub(at(0)))
	}
	c.cfg.AbortInterval = 0
	open.Timeout = 15 * time.Second
	if got := c.deadline(open); !got.Equal(at(15)) {
		t.Errorf("without looks a transaction is aborted after %v", got.Sub(at(0)))
	}
}
