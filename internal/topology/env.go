package topology

import "context"

// ContextEnv is what an [Env] may also implement: the context that functions of the ...Ctx form get. Without it they get the background context.
type ContextEnv interface{ Context() context.Context }
