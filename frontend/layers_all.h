/* layers_all.h: one line a layer, in the order of the manual. */
#ifndef LAYER
#define LAYER(name) extern const Layer layer_##name;
#define LAYER_DECLARED
#endif

/* with weights */
LAYER(conv)
LAYER(dense)
LAYER(batch_norm)
LAYER(layer_norm)
LAYER(weight)
LAYER(embed)
/* elementwise */
LAYER(relu)
LAYER(gelu)
LAYER(silu)
LAYER(sigmoid)
LAYER(tanh)
LAYER(exp)
LAYER(log)
LAYER(sqrt)
LAYER(abs)
LAYER(min)
LAYER(max)
LAYER(dropout)
LAYER(softmax)
/* matrices */
LAYER(matmul)
/* shapes */
LAYER(max_pool)
LAYER(avg_pool)
LAYER(mean)
LAYER(flatten)
LAYER(reshape)
LAYER(transpose)
LAYER(pad)
LAYER(slice)
LAYER(subsample)
LAYER(concat)
/* compile-time values */
LAYER(shape)
LAYER(len)
LAYER(floor)

#ifdef LAYER_DECLARED
#undef LAYER
#undef LAYER_DECLARED
#endif
