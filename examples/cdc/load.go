package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// load changes the database. Its choices follow from a seed; ids that an earlier delete took away just change nothing.
type load struct {
	rng                   *rand.Rand
	customer, order, item int64        // the next new id of each table
	changes               atomic.Int64 // rows changed by our statements; what cascades is not counted
}

// What the tables hold before the connector takes its snapshot.
const (
	firstCustomers = 200
	firstOrders    = 1000
	firstItems     = 3000
)

func newLoad() *load {
	return &load{rng: rand.New(rand.NewPCG(1, 2)), customer: firstCustomers + 1, order: firstOrders + 1, item: firstItems + 1}
}

// fill writes the first rows.
func (l *load) fill(ctx context.Context, db *database) error {
	return db.exec(ctx, fmt.Sprintf(`
		INSERT INTO millrace_cdc.customers SELECT g, 'customer ' || g FROM generate_series(1, %d) g;
		INSERT INTO millrace_cdc.orders SELECT g, date '2026-01-01' + g %% 30, 1 + g %% %[1]d FROM generate_series(1, %[2]d) g;
		INSERT INTO millrace_cdc.items SELECT g, 1 + g %% 5, 100 + g %% 1000, 1 + g %% %[2]d FROM generate_series(1, %[3]d) g;`,
		firstCustomers, firstOrders, firstItems))
}

// transactionSize is how many statements a transaction has at most.
const transactionSize = 40

// run changes rows until it is over: after a time, or after so many changes. rate limits the changes a second.
func (l *load) run(ctx context.Context, db *database, rate int, duration time.Duration, changes int64) error {
	conn, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	begun := time.Now()
	for {
		done := l.changes.Load()
		if changes > 0 && done >= changes || changes == 0 && time.Since(begun) >= duration {
			return nil
		}
		if rate > 0 {
			ahead := time.Duration(done)*time.Second/time.Duration(rate) - time.Since(begun)
			if err := pause(ctx, ahead); err != nil {
				return err
			}
		}
		if err := l.transaction(ctx, conn); err != nil {
			return fmt.Errorf("change the database: %w", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (l *load) transaction(ctx context.Context, conn *pgx.Conn) error {
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	for range 1 + l.rng.IntN(transactionSize) {
		l.statement(batch)
	}
	batch.Queue("COMMIT")
	results := conn.SendBatch(ctx, batch)
	changed := int64(0)
	for range batch.Len() {
		tag, err := results.Exec()
		if err != nil {
			results.Close()
			return err
		}
		changed += tag.RowsAffected()
	}
	l.changes.Add(changed)
	return results.Close()
}

// near picks an id below next, mostly a recent one.
func (l *load) near(next int64) int64 {
	if l.rng.IntN(4) == 0 {
		return 1 + l.rng.Int64N(next-1)
	}
	return next - 1 - l.rng.Int64N(min(next-1, 2000))
}

// statement adds one change: what a shop does, and what it does seldom.
func (l *load) statement(b *pgx.Batch) {
	switch n := l.rng.IntN(1000); {
	case n < 350: // an item more
		b.Queue(`INSERT INTO millrace_cdc.items SELECT $1, $2, $3, id FROM millrace_cdc.orders WHERE id = $4`, l.item, 1+l.rng.Int64N(9), 1+l.rng.Int64N(20000), l.near(l.order))
		l.item++
	case n < 470: // a new order
		b.Queue(`INSERT INTO millrace_cdc.orders SELECT $1, date '2026-01-01' + $2::int, id FROM millrace_cdc.customers WHERE id = $3`, l.order, l.rng.IntN(60), l.near(l.customer))
		l.order++
	case n < 490:
		b.Queue(`INSERT INTO millrace_cdc.customers VALUES ($1, 'customer ' || $1::bigint)`, l.customer)
		l.customer++
	case n < 750: // another quantity or price
		b.Queue(`UPDATE millrace_cdc.items SET quantity = $2, cents = $3 WHERE id = $1`, l.near(l.item), 1+l.rng.Int64N(9), 1+l.rng.Int64N(20000))
	case n < 810: // an item moves to another order
		b.Queue(`UPDATE millrace_cdc.items SET order_id = o.id FROM millrace_cdc.orders o WHERE items.id = $1 AND o.id = $2`, l.near(l.item), l.near(l.order))
	case n < 860: // an order moves to another customer
		b.Queue(`UPDATE millrace_cdc.orders SET customer_id = c.id FROM millrace_cdc.customers c WHERE orders.id = $1 AND c.id = $2`, l.near(l.order), l.near(l.customer))
	case n < 890: // or to another day
		b.Queue(`UPDATE millrace_cdc.orders SET day = date '2026-01-01' + $2::int WHERE id = $1`, l.near(l.order), l.rng.IntN(60))
	case n < 900: // a new name, which all orders of the customer show at once
		b.Queue(`UPDATE millrace_cdc.customers SET name = 'renamed ' || $2::bigint WHERE id = $1`, l.near(l.customer), l.rng.Int64N(1000))
	case n < 970:
		b.Queue(`DELETE FROM millrace_cdc.items WHERE id = $1`, l.near(l.item))
	case n < 985: // with its items
		b.Queue(`DELETE FROM millrace_cdc.orders WHERE id = $1`, l.near(l.order))
	case n < 986: // with all orders
		b.Queue(`DELETE FROM millrace_cdc.customers WHERE id = $1`, l.near(l.customer))
	case n < 994: // another key
		b.Queue(`UPDATE millrace_cdc.items SET id = $2 WHERE id = $1`, l.near(l.item), l.item)
		l.item++
	case n < 998: // another key, which its items follow
		b.Queue(`UPDATE millrace_cdc.orders SET id = $2 WHERE id = $1`, l.near(l.order), l.order)
		l.order++
	default:
		b.Queue(`UPDATE millrace_cdc.customers SET id = $2 WHERE id = $1`, l.near(l.customer), l.customer)
		l.customer++
	}
}
