package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What ends [Source.Run] for good, each wrapped with the name of what it concerns and what to do.
var (
	ErrWALLevel       = errors.New("postgres: wal_level is not logical")
	ErrNoPrivilege    = errors.New("postgres: the user may not replicate")
	ErrSlotInUse      = errors.New("postgres: the replication slot is in use")
	ErrSlotLost       = errors.New("postgres: the replication slot is lost")
	ErrNoPrimaryKey   = errors.New("postgres: a table has no primary key")
	ErrTableGone      = errors.New("postgres: a table is gone")
	ErrTruncated      = errors.New("postgres: a table was truncated")
	ErrTypeChanged    = errors.New("postgres: a column changed its type")
	ErrOtherDatabase  = errors.New("postgres: this is another database")
	ErrTakenOver      = errors.New("postgres: another connector of the same name has taken over")
	ErrNoMatch        = errors.New("postgres: no table matches")
	ErrUnavailable    = errors.New("postgres: given up")
	errTablesChanged  = errors.New("postgres: tables joined") // ends a session in good order: the next one takes their snapshots
	errUnfit          = errors.New("postgres: the publication does not do")
	errUnfitTopic     = errors.New("postgres: a topic does not do")
	errNoText         = errors.New("postgres: a value is no text")
	errTooLarge       = errors.New("postgres: a row is too large for its topic")
	errTooLong        = errors.New("postgres: a transaction of the log lasted too long")
	errStreamFinished = errors.New("postgres: the server ended the stream")
)

var lasting = []error{
	ErrWALLevel, ErrNoPrivilege, ErrSlotInUse, ErrSlotLost, ErrNoPrimaryKey, ErrTableGone, ErrTruncated, ErrTypeChanged, ErrOtherDatabase, ErrTakenOver, ErrNoMatch,
	errUnfit, errUnfitTopic, errNoText, errTooLarge, errTooLong,
	// What the log says to a connector that asks for what it may not have.
	kerr.InvalidTransactionTimeout, kerr.TransactionalIDAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
	kerr.InvalidTopicException, kerr.InvalidPartitions, kerr.InvalidReplicationFactor, kerr.InvalidConfig, kerr.PolicyViolation, kerr.InvalidTimestamp, kerr.InvalidRecord,
}

// isLasting tells whether trying again cannot help.
func isLasting(err error) bool {
	for _, e := range lasting {
		if errors.Is(err, e) {
			return true
		}
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return false
	}
	switch pg.Code[:2] {
	case "28", "42", "3D", "0A", "22": // who you are, what you may and what you ask for; no such database; not supported; bad data
		return true
	}
	return false
}

// explain puts what a server's refusal means for the connector before it.
func explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "42501":
		return fmt.Errorf("%w: ALTER ROLE … REPLICATION, and SELECT on the tables, or let a superuser make the publication: %w", ErrNoPrivilege, err)
	case "22021":
		return fmt.Errorf("%w in UTF-8, as a database without an encoding (SQL_ASCII) may hold it: mend the row, or leave the table out: %w", errNoText, err)
	case "55006":
		return fmt.Errorf("%w: is another connector of this name running? %w", ErrSlotInUse, err)
	}
	return err
}
