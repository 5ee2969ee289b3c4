package api

import "slices"

// Table returns every API that this broker serves, in order of key. It is the only place that says so: what it lists is what ApiVersions tells,
// and what it does not list closes the connection.
func Table() []API {
	rows := slices.Concat(coreAPIs(), groupAPIs(), transactionAPIs())
	slices.SortFunc(rows, func(a, b API) int { return int(a.Key) - int(b.Key) })
	return rows
}

// needs spells a row's permissions.
func needs(p ...Permission) []Permission { return p }

func onTopic(op Operation) Permission   { return Permission{op, ScopeTopic} }
func onGroup(op Operation) Permission   { return Permission{op, ScopeGroup} }
func onCluster(op Operation) Permission { return Permission{op, ScopeCluster} }
func onTxn(op Operation) Permission     { return Permission{op, ScopeTransactionalID} }
