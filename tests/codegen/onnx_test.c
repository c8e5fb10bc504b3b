/* onnx_test.c: what cannot be said in ONNX is refused with the place in the
 * model file, and what can is not. */
#include "onnx.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool no_weights(void *context, const State *s, float *to, Error *e)
{
    (void)context;
    (void)to;
    return error_set(e, "%s is not there", s->name);
}

/* The body computes %s, [batch,4], from %x, [batch,4]. */
static bool export_body(const char *body, Protobuf *file, Error *e)
{
    char text[4096];
    int n = snprintf(text, sizeof text,
                     "module m\n"
                     "state w : f32[4] param const(0) @m.net:2:2\n"
                     "graph eval {\n"
                     "%%x = input {name=\"image\"} : f32[65537,4] @m.net:1:1\n"
                     "%s"
                     "%%a = argmax %%s {axis=1} : i32[65537] @m.net:9:9\n"
                     "output %%a {name=\"correct\"} @m.net:9:9\n"
                     "}\n",
                     body);
    assert_true(n > 0 && (size_t)n < sizeof text);
    Module *m = module_read(text, (size_t)n, "test.ir", e);
    if (!m)
        fail_msg("%s", e->text);
    OnnxModel model = {module_graph(m, "eval"), no_weights, NULL};
    bool ok = onnx_write(&model, file, e);
    module_free(m);
    return ok;
}

static const struct {
    const char *body, *message; /* NULL: it is written */
} cases[] = {
    {"%s = exp %x\n", NULL},
    {"%y = transpose %x {order=[1,0]} @m.net:3:1\n"
     "%s = transpose %y {order=[1,0]}\n",
     NULL},
    {"%y = window %x {axes=[1], size=[2], stride=[1], pad_low=[0], "
     "pad_high=[0], dilation=[1]} @m.net:3:5<5:7\n"
     "%s = reduce_sum %y {axes=[1]}\n",
     "m.net:3:5, called from m.net:5:7: window: ONNX export does not know this "
     "op"},
    {"%i = iota {axis=1, dtype=f32, shape=[65537,4]} @m.net:4:1\n"
     "%s = add %x, %i\n",
     "m.net:4:1: iota: ONNX export does not know this op"},
    {"%y = slice %x {start=[1,0], stop=[65537,4], step=[1,1]} @m.net:3:5\n"
     "%z = pad %y {low=[1,0], high=[0,0], step=[1,1], value=0}\n"
     "%s = copy %z\n",
     "m.net:3:5: slice: it takes a part of the batch"},
    {"%y = pad %x {low=[1,0], high=[0,0], step=[1,1], value=0} @m.net:3:5\n"
     "%s = slice %y {start=[1,0], stop=[65538,4], step=[1,1]}\n",
     "m.net:3:5: pad: it changes the batch"},
    {"%y = pad %x {low=[0,0], high=[0,0], step=[1,2], value=0} @m.net:3:5\n"
     "%s = slice %y {start=[0,0], stop=[65537,7], step=[1,2]}\n",
     "m.net:3:5: pad: ONNX cannot put values between others"},
    {"%w = state {name=\"w\"}\n%y = broadcast %w {dims=[1], shape=[4,4]}\n"
     "%s = matmul %x, %y\n",
     "w is not there"},
    {"%h = const {value=0.5, shape=[4,4], dtype=f32}\n%s = matmul %x, %h\n",
     NULL},
    {"%h = const {value=1, shape=[65537,4], dtype=f32} @m.net:6:5\n"
     "%y = softmax %h {axis=1} @m.net:7:5\n%s = add %x, %y\n",
     "m.net:7:5: softmax: what does not depend on the images is repeated for "
     "each, and ONNX would have to know how many there are"},
    {"%y = cast %x {dtype=f64}\n%h = const {value=1, shape=[65537,4], "
     "dtype=f64} @m.net:6:5\n%s = add %y, %h\n",
     "m.net:6:5: const: a constant of a type that is not exported"},
};

static void what_onnx_lacks_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Protobuf file = {0};
        Error e = {{0}};
        bool ok = export_body(cases[i].body, &file, &e);
        if (cases[i].message)
            assert_string_equal(ok ? cases[i].body : e.text, cases[i].message);
        else if (!ok)
            fail_msg("%s", e.text);
        assert_int_equal(ok, file.n > 0);
        free(file.data);
    }
}

/* Nothing says what the answer is. */
static void scores_must_be_there(void **state)
{
    (void)state;
    static const char text[] = "module m\n"
                               "graph eval {\n"
                               "%1 = input {name=\"image\"} : f32[65537,4]\n"
                               "output %1 {name=\"loss\"}\n"
                               "}\n";
    Error e = {{0}};
    Module *m = module_read(text, sizeof text - 1, "test.ir", &e);
    assert_non_null(m);
    OnnxModel model = {module_graph(m, "eval"), no_weights, NULL};
    Protobuf file;
    assert_false(onnx_write(&model, &file, &e));
    assert_string_equal(e.text, "graph eval does not compare scores to labels");
    module_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_onnx_lacks_is_named),
        cmocka_unit_test(scores_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
