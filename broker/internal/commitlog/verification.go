package commitlog

import (
	"fmt"
	"time"
)

// VerificationGuard proves to [Log.Append] that the transaction coordinator confirmed a transaction after the append was asked for. The zero
// value proves nothing.
type VerificationGuard struct {
	token       uint64
	epochBumped bool
}

// Needed tells whether the coordinator must be asked before the append.
func (g VerificationGuard) Needed() bool { return g.token != 0 }

// verification is a transaction's first batch on its way: the coordinator is being asked.
type verification struct {
	token       uint64
	epoch       ProducerEpoch
	lowestSeq   int32
	epochBumped bool
	since       time.Time
}

// verificationTTL is how long an unused guard is kept: longer than any request lives.
const verificationTTL = 10 * time.Minute

// BeginVerification is called before the coordinator is asked whether producer id at epoch has an open transaction that this partition
// belongs to. The guard goes into the append's options. It is not needed (its Needed is false) when the transaction is open here already.
//
// The guard is void when a marker of the transaction comes in between: then what the coordinator confirmed is over, and the append would open a
// transaction that nobody ends (T8). epochBumped says that the client speaks protocol 2.
func (l *Log) BeginVerification(now time.Time, id ProducerID, epoch ProducerEpoch, seq int32, epochBumped bool) (VerificationGuard, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return VerificationGuard{}, err
	}
	p, _ := l.producers.get(id)
	if p.txnOpenAt(epoch) {
		return VerificationGuard{}, nil
	}
	if epoch < p.epoch {
		return VerificationGuard{}, fmt.Errorf("%w: producer %d: epoch %d, current epoch %d", ErrInvalidProducerEpoch, id, epoch, p.epoch)
	}
	v, ok := l.verifications[id]
	if !ok || epoch > v.epoch {
		l.nextToken++
		v = verification{token: l.nextToken, epoch: epoch, lowestSeq: seq, epochBumped: epochBumped}
	}
	v.lowestSeq, v.since = min(v.lowestSeq, seq), now
	l.verifications[id] = v
	return VerificationGuard{token: v.token, epochBumped: v.epochBumped}, nil
}

func (p *producerState) txnOpenAt(epoch ProducerEpoch) bool {
	return p.txnStart >= 0 && p.epoch == epoch
}

// checkVerified tells whether a transaction may begin with a batch of p. Log.mu is held.
func (l *Log) checkVerified(p *producerState, seq int32, guard VerificationGuard) error {
	v, ok := l.verifications[p.id]
	if !ok || guard.token == 0 || v.token != guard.token {
		return fmt.Errorf("%w: the transaction of producer %d was not confirmed by its coordinator", ErrInvalidTxnState, p.id)
	}
	if seq > v.lowestSeq {
		return fmt.Errorf("%w: producer %d: sequence %d while %d is on its way", ErrOutOfOrderSequence, p.id, seq, v.lowestSeq)
	}
	return nil
}

// expireVerifications drops guards that nobody used. Log.mu is held.
func (l *Log) expireVerifications(now time.Time) {
	for id, v := range l.verifications {
		if now.Sub(v.since) > verificationTTL {
			delete(l.verifications, id)
		}
	}
}
