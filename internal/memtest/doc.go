// Package memtest counts what code allocates, for tests that hold hostile input to a multiple of its size. The count is the whole process's, so that what seems too much
// is counted again: the code's part is the same every time, the part of what runs beside it is not. Only tests use this package.
package memtest
