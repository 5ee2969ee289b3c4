package main

import (
	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// The rows of the three tables, as far as the answer needs them, and their keys. JSON names are the columns'.
type (
	CustomerKey struct {
		ID int64 `json:"id"`
	}
	Customer struct {
		Name string `json:"name"`
	}
	OrderKey struct {
		ID int64 `json:"id"`
	}
	Order struct {
		Customer int64  `json:"customer_id"`
		Day      string `json:"day"`
	}
	ItemKey struct {
		ID int64 `json:"id"`
	}
	Item struct {
		Order    int64 `json:"order_id"`
		Quantity int64 `json:"quantity"`
		Cents    int64 `json:"cents"`
	}
)

// What the joins make of them.
type (
	// Placed is an order with who placed it.
	Placed struct {
		Customer int64  `json:"customer"`
		Name     string `json:"name"`
		Day      string `json:"day"`
	}
	// Sold is an item with who bought it, and when.
	Sold struct {
		Placed
		Cents int64 `json:"cents"`
	}
	// DayKey is a customer's day.
	DayKey struct {
		Customer int64  `json:"customer"`
		Name     string `json:"name"`
		Day      string `json:"day"`
	}
	// Revenue is the answer for a customer's day.
	Revenue struct {
		Items int64 `json:"items"`
		Cents int64 `json:"cents"`
	}
)

// connector is the connector's name: of its slot, and the first part of its topics'.
const connector = "millrace_cdc"

func table(name string) string { return connector + "." + schema + "." + name }

// Topics and stores are declared once, with their types: the topology, its tests and whoever queries it share these handles.
var (
	customers = postgres.NewTopic[CustomerKey, Customer](table("customers"))
	orders    = postgres.NewTopic[OrderKey, Order](table("orders"))
	items     = postgres.NewTopic[ItemKey, Item](table("items"))

	customerRows = statestore.KeyValue("customers", serde.JSON[CustomerKey](), serde.JSON[Customer]())
	orderRows    = statestore.KeyValue("orders", serde.JSON[OrderKey](), serde.JSON[Order]())
	itemRows     = statestore.KeyValue("items", serde.JSON[ItemKey](), serde.JSON[Item]())
	placedRows   = statestore.KeyValue("placed", serde.JSON[OrderKey](), serde.JSON[Placed]())
	soldRows     = statestore.KeyValue("sold", serde.JSON[ItemKey](), serde.JSON[Sold]())

	orderCustomer = ktable.NewForeignKey("order-customer", serde.JSON[OrderKey](), serde.JSON[Order](), serde.JSON[CustomerKey](), serde.JSON[Customer]())
	itemOrder     = ktable.NewForeignKey("item-order", serde.JSON[ItemKey](), serde.JSON[Item](), serde.JSON[OrderKey](), serde.JSON[Placed]())

	byDay       = stream.NewTopic("sold-by-day", serde.JSON[DayKey](), serde.JSON[int64]())
	revenueRows = statestore.KeyValue("revenue", serde.JSON[DayKey](), serde.JSON[Revenue]())
	revenue     = stream.NewTopic("revenue", serde.JSON[DayKey](), serde.JSON[Revenue]())
)

// topology keeps the revenue of each customer and day: items joined with their orders, orders with their customers, and summed up.
func topology() (*stream.Topology, error) {
	b := stream.NewBuilder()
	customers := postgres.Table(b, customers, customerRows)
	orders := postgres.Table(b, orders, orderRows)
	items := postgres.Table(b, items, itemRows)

	placed := ktable.JoinForeign(orders, customers,
		func(o Order) (CustomerKey, bool) { return CustomerKey{o.Customer}, true },
		func(o Order, c Customer) Placed { return Placed{o.Customer, c.Name, o.Day} },
		orderCustomer, placedRows)
	sold := ktable.JoinForeign(items, placed,
		func(i Item) (OrderKey, bool) { return OrderKey{i.Order}, true },
		func(i Item, p Placed) Sold { return Sold{p, i.Quantity * i.Cents} },
		itemOrder, soldRows)
	days := ktable.GroupBy(sold, func(_ ItemKey, s Sold) (DayKey, int64) { return DayKey(s.Placed), s.Cents }, byDay)
	sums := ktable.AggregateRows(days, func() Revenue { return Revenue{} },
		func(_ DayKey, cents int64, r Revenue) Revenue { return Revenue{r.Items + 1, r.Cents + cents} },
		func(_ DayKey, cents int64, r Revenue) Revenue { return Revenue{r.Items - 1, r.Cents - cents} },
		revenueRows)
	stream.To(ktable.ToStream(ktable.Filter(sums, func(_ DayKey, r Revenue) bool { return r.Items > 0 })), revenue)
	return b.Build()
}
