// Package capture has requests of real clients, as they came over the wire, for the fuzz targets to begin with, and the proxy that records them.
//
//	client ──▶ Proxy ──▶ log server          testdata/<client>.frames: one frame after the other, as on the wire
//	             └─▶ Recording                ┌────────────┬────────────────────┐
//	                                          │ 4B length  │ header and body    │ …
//	                                          └────────────┴────────────────────┘
//
// A recording keeps of each key and version the first few requests that differ in size, none larger than maxFrame: enough shapes, and little to carry. The files are
// made by TestRecordClients in package kafkatest, but for sarama.frames: that client (v1.46.3, speaking as versions 0.11, 2.0 and 3.6) went through the same proxy and is no
// dependency of this module. Only tests use this package.
package capture
