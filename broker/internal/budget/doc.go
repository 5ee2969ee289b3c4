// Package budget bounds memory that many connections share: bytes are taken before they are allocated and given back when they are free again.
//
// It knows nothing of what the bytes are for. A budget is safe for concurrent use and never hands out more than it has.
package budget
