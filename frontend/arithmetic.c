/* arithmetic.c: operators on compile-time values.
 *
 * Whole numbers are 64 bits and never wrap: overflow is an error.  `/` of two
 * whole numbers must come out whole, so that nobody wonders whether 1 / 3 is 0;
 * `//` rounds down and `%` is what is left then. */
#include "elaborate.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static Datum fail(Error *e, const char *text)
{
    error_set(e, "%s", text);
    return datum_error();
}

static Datum overflow(Operator op, int64_t a, int64_t b, Error *e)
{
    error_set(e, "%" PRId64 " %s %" PRId64 " does not fit in 64 bits", a,
              operator_text(op), b);
    return datum_error();
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static Datum divide(Operator op, int64_t a, int64_t b, Error *e)
{
    if (b == 0)
        return fail(e, "division by zero");
    if (a == INT64_MIN && b == -1)
        return overflow(op, a, b, e);
    if (op == OPERATOR_FLOOR_DIV)
        return datum_int(floor_divide(a, b));
    if (op == OPERATOR_MOD)
        return datum_int(a - floor_divide(a, b) * b);
    if (a % b == 0)
        return datum_int(a / b);
    error_set(e,
              "%" PRId64 " / %" PRId64 " is not a whole number "
              "(// rounds down; %" PRId64 ".0 / %" PRId64 " is a fraction)",
              a, b, a, b);
    return datum_error();
}

static Datum shift(Operator op, int64_t a, int64_t b, Error *e)
{
    if (b < 0 || b > 63)
        return fail(e, "shifts go from 0 to 63 places");
    if (op == OPERATOR_SHIFT_RIGHT)
        return datum_int(b == 63 ? -(a < 0) : floor_divide(a, INT64_C(1) << b));
    int64_t r;
    if (b > 62 || __builtin_mul_overflow(a, INT64_C(1) << b, &r))
        return a == 0 ? datum_int(0) : overflow(op, a, b, e);
    return datum_int(r);
}

static Datum on_ints(Operator op, int64_t a, int64_t b, Error *e)
{
    int64_t r;
    bool over = false;
    switch (op) {
    case OPERATOR_ADD:
        over = __builtin_add_overflow(a, b, &r);
        break;
    case OPERATOR_SUB:
        over = __builtin_sub_overflow(a, b, &r);
        break;
    case OPERATOR_MUL:
        over = __builtin_mul_overflow(a, b, &r);
        break;
    case OPERATOR_SHIFT_LEFT:
    case OPERATOR_SHIFT_RIGHT:
        return shift(op, a, b, e);
    default:
        return divide(op, a, b, e);
    }
    return over ? overflow(op, a, b, e) : datum_int(r);
}

static Datum on_floats(Operator op, double a, double b, Error *e)
{
    double r = 0;
    switch (op) {
    case OPERATOR_ADD:
        r = a + b;
        break;
    case OPERATOR_SUB:
        r = a - b;
        break;
    case OPERATOR_MUL:
        r = a * b;
        break;
    case OPERATOR_DIV:
    case OPERATOR_FLOOR_DIV:
    case OPERATOR_MOD:
        if (b == 0)
            return fail(e, "division by zero");
        r = op == OPERATOR_DIV         ? a / b
            : op == OPERATOR_FLOOR_DIV ? floor(a / b)
                                       : a - floor(a / b) * b;
        break;
    default:
        return fail(e, "shifts are for whole numbers");
    }
    if (!isfinite(r))
        return fail(e, "the result is too large a number");
    return datum_float(r);
}

static bool compare(Operator op, int order)
{
    switch (op) {
    case OPERATOR_LT:
        return order < 0;
    case OPERATOR_LE:
        return order <= 0;
    case OPERATOR_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int order_of(Datum x, Datum y)
{
    if (x.kind == DATUM_INT && y.kind == DATUM_INT)
        return (x.i > y.i) - (x.i < y.i);
    double a = datum_number(x), b = datum_number(y);
    return (a > b) - (a < b);
}

static Datum mismatch(Operator op, Datum x, Datum y, Error *e)
{
    error_set(e, "%s does not go with %s and %s", operator_text(op),
              datum_kind(x), datum_kind(y));
    return datum_error();
}

Datum arithmetic_binary(Operator op, Datum x, Datum y, Error *e)
{
    bool numbers = datum_is_number(x) && datum_is_number(y);
    if (op == OPERATOR_EQ || op == OPERATOR_NE) {
        if (!numbers && x.kind != y.kind &&
            (x.kind != DATUM_BLOCK || y.kind != DATUM_LAYER) &&
            (x.kind != DATUM_LAYER || y.kind != DATUM_BLOCK))
            return mismatch(op, x, y, e);
        return datum_bool(datum_equal(x, y) == (op == OPERATOR_EQ));
    }
    if (!numbers)
        return mismatch(op, x, y, e);
    if (op >= OPERATOR_LT && op <= OPERATOR_GE)
        return datum_bool(compare(op, order_of(x, y)));
    if (x.kind == DATUM_INT && y.kind == DATUM_INT)
        return on_ints(op, x.i, y.i, e);
    return on_floats(op, datum_number(x), datum_number(y), e);
}

Datum arithmetic_unary(Operator op, Datum x, Error *e)
{
    if (op == OPERATOR_NOT && x.kind == DATUM_BOOL)
        return datum_bool(!x.b);
    if (op == OPERATOR_NEGATE && x.kind == DATUM_FLOAT)
        return datum_float(-x.f);
    if (op == OPERATOR_NEGATE && x.kind == DATUM_INT)
        return x.i == INT64_MIN ? overflow(OPERATOR_SUB, 0, x.i, e)
                                : datum_int(-x.i);
    error_set(e, "%s does not go with %s", operator_text(op), datum_kind(x));
    return datum_error();
}
