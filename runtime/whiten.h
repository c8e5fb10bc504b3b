/* whiten.h: a first layer that makes patches of images white: each of its
 * filters answers with variance 1, and no two of them alike.
 *
 * With C the matrix of mean products of a patch's values (normalised, not
 * augmented), over patches at all places, and C v_k = l_k v_k, |v_k| = 1,
 * l_1 >= l_2 >= ..., the filters are
 *
 *     v_1 / sqrt(l_1 + eps), v_2 / sqrt(l_2 + eps), ..., then their negatives
 *
 * as in Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024
 * (arXiv:2404.00498), section 3.2.  The sign of v_k is such that its largest
 * value is positive. */
#ifndef TGC_WHITEN_H
#define TGC_WHITEN_H

#include "executor.h"
#include "loader.h"

/* States that start so (PLAN_PATCHES, [filters, channels, height, width]) get
 * their filters, from the first images, in the order of the files, that have
 * five million patches together.  The same bits for any number of threads. */
bool whiten_states(Executor *e, const Loader *images, Status *s);

/* The parts, for the tests: eigenvalues of the symmetric a [n,n], falling, and
 * eigenvectors, one a row of v [n,n]; a is destroyed. */
void whiten_eigen(int n, double *a, double *value, double *v);

#endif
