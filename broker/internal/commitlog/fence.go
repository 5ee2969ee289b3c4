package commitlog

import "fmt"

// CheckMarker tells whether AppendMarker would refuse a marker now.
func (l *Log) CheckMarker(o MarkerOptions) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkOnly(&o); err != nil {
		return err
	}
	m := o.marker()
	b := l.marker.FinishMarker(o.Now.UnixMilli(), o.ProducerID, o.ProducerEpoch, m)
	p, known := l.producers.get(o.ProducerID)
	return p.checkMarker(b, m, known, o.EpochBumped)
}

// checkOnly holds what is known of a marker's producer against what has to be. mu is held.
func (l *Log) checkOnly(o *MarkerOptions) error {
	if o.Only == nil {
		return nil
	}
	if p, _ := l.producers.get(o.ProducerID); p.info() != *o.Only {
		return fmt.Errorf("%w: producer %d has gone on since it was looked at", ErrInvalidTxnState, o.ProducerID)
	}
	return nil
}

// CheckProducer tells whether Append would refuse a coordinator's transactional records of a producer now, because it is fenced.
func (l *Log) CheckProducer(id ProducerID, epoch ProducerEpoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, known := l.producers.get(id); known && epoch < p.epoch {
		return fmt.Errorf("%w: producer %d: epoch %d, current epoch %d", ErrInvalidProducerEpoch, id, epoch, p.epoch)
	}
	return nil
}
