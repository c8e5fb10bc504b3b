/* optimizer_adam.c: Adam (Kingma, Ba 2015, arXiv:1412.6980), AMSGrad (Reddi,
 * Kale, Kumar 2018), AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101), in the
 * form of torch.optim:
 *
 *     g += weight_decay * w                  adam
 *     w -= lr * weight_decay * w             adamw
 *     m  = beta1 * m + (1 - beta1) * g
 *     v  = beta2 * v + (1 - beta2) * g^2
 *     x  = amsgrad ? (x = max(x, v)) : v
 *     w -= lr / (1 - beta1^t) * m / (sqrt(x) / sqrt(1 - beta2^t) + eps)
 */
#include "build.h"
#include "optimizer.h"

/* beta * slot + (1 - beta) * now, kept.  beta: f64, since 1 - 0.999 would be
 * off by 1e-5 of itself in f32. */
static Value running_mean(Update *u, const Trained *t, const char *what,
                          Value beta, Value now)
{
    Graph *g = u->g;
    Value before = slot_read(u, t, what);
    Value rest = ir_sub(g, ir_const_like(g, beta, 1), beta);
    Value mean =
        ir_add(g, update_scale(u, beta, before), update_scale(u, rest, now));
    slot_write(u, t, what, before, mean);
    return mean;
}

/* The factor that makes up for a slot that began at 0: 1 / (1 - beta^t).  In
 * f64: with beta2 near 1 little would be left of f32 after the subtraction. */
static Value correction(Update *u, Value beta)
{
    Graph *g = u->g;
    Value steps = update_steps(u), one = ir_const_like(g, steps, 1);
    Value power = ir_binary(g, &op_pow, beta, steps);
    return ir_div(g, one, ir_sub(g, one, power));
}

static Value largest(Update *u, const Trained *t, Value v)
{
    Value before = slot_read(u, t, "max_square");
    Value most = ir_binary(u->g, &op_max, before, v);
    slot_write(u, t, "max_square", before, most);
    return most;
}

static void adam(Update *u, const Trained *t, Value from, Value gradient)
{
    Graph *g = u->g;
    Value beta1 = optimizer_momentum(u, t, "optimizer.beta1");
    Type f64 = type_scalar(DT_F64);
    Value beta2 = ir_const(g, &f64, optimizer_setting(u, t, "optimizer.beta2"));
    double eps = optimizer_setting(u, t, "optimizer.eps");
    Value m = running_mean(u, t, "mean", beta1, gradient);
    Value v =
        running_mean(u, t, "square", beta2, ir_mul(g, gradient, gradient));
    if (optimizer_setting(u, t, "optimizer.amsgrad") != 0)
        v = largest(u, t, v);
    Value root = ir_unary(g, &op_sqrt, correction(u, beta2));
    root = update_scale(u, root, ir_unary(g, &op_sqrt, v));
    Value direction = update_scale(u, correction(u, beta1), m);
    direction = ir_div(g, direction, ir_add_const(g, root, eps));
    optimizer_descend(u, t, from, direction);
}

bool adam_step(Update *u, const Trained *t)
{
    Graph *g = u->g;
    Value d = t->gradient;
    double decay = optimizer_setting(u, t, "optimizer.weight_decay");
    if (decay != 0)
        d = ir_add(g, d, ir_mul_const(g, t->weight, decay));
    adam(u, t, t->weight, d);
    return true;
}

bool adamw_step(Update *u, const Trained *t)
{
    adam(u, t, optimizer_decayed(u, t), t->gradient);
    return true;
}
