/* The kernels of the operations: they check the arrays they are given, and call the loops. What
 * the arrays are stands in native.py.
 */
#include "tensorflow.h"
#include "loops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- attributes --------------------------------------------------------------------------- */

const char *const attribute_names[ATTRIBUTES] = {"number",      "cell", "threads", "reverse",
                                                 "zero_masked", "keep", "joined",  "sequences"};

/* Those that the operation has, int64_t[ATTRIBUTES]. */
void *read_attributes(Construction *construction) {
    TF_Status *status = TF_NewStatus();
    int64_t *attributes = calloc(ATTRIBUTES, sizeof *attributes);
    if (!attributes) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "no memory for a recurrent layer");
    for (int i = 0; i < ATTRIBUTES && TF_GetCode(status) == TF_OK; i++)
        if (TF_OpKernelConstruction_HasAttr(construction, attribute_names[i], status))
            TF_OpKernelConstruction_GetAttrInt64(construction, attribute_names[i], attributes + i,
                                                 status);
    if (TF_GetCode(status) == TF_OK &&
        (attributes[NUMBER] > MAX_LAYERS || attributes[CELL] < SIMPLE || attributes[CELL] > LSTM))
        TF_SetStatus(status, TF_INVALID_ARGUMENT, "more layers or another cell than there are");
    if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
    TF_DeleteStatus(status);
    return attributes;
}

static void *read_for(Construction *construction, int form) {
    int64_t *attributes = read_attributes(construction);
    if (!attributes) return NULL;
    attributes[JOINED] = form == OUTPUTS_JOINED, attributes[SEQUENCES] = form != OUTPUTS_LAST;
    return attributes;
}

void *read_for_all(Construction *construction) { return read_for(construction, OUTPUTS_ALL); }
void *read_for_joined(Construction *construction) { return read_for(construction, OUTPUTS_JOINED); }
void *read_for_last(Construction *construction) { return read_for(construction, OUTPUTS_LAST); }

/* --- arrays ------------------------------------------------------------------------------- */

enum { MAX_ARRAYS = 8 + 16 * MAX_LAYERS }; /* more than an operation has */

typedef struct {
    Context *context;
    TF_Status *status;
    const int64_t *attributes;
    TF_Tensor *tensors[MAX_ARRAYS]; /* to be deleted in the end */
    int number;
    size_t bytes; /* of all outputs */
} Call;

static bool good(const Call *call) { return TF_GetCode(call->status) == TF_OK; }

static Call begin(Context *context, const int64_t *attributes) {
    return (Call){context, TF_NewStatus(), attributes, {NULL}, 0, 0};
}

static void end(Call *call) {
    if (!good(call)) TF_OpKernelContext_Failure(call->context, call->status);
    while (call->number) TF_DeleteTensor(call->tensors[--call->number]);
    TF_DeleteStatus(call->status);
}

static void fail(Call *call, int code, const char *message, ...) {
    char text[256];
    va_list values;
    va_start(values, message);
    vsnprintf(text, sizeof text, message, values);
    va_end(values);
    if (good(call)) TF_SetStatus(call->status, code, text);
}

static void check_memory(Call *call, int failed) {
    if (failed) fail(call, TF_RESOURCE_EXHAUSTED, "no memory for a recurrent layer");
}

static TF_Tensor *tensor(Call *call, int index) {
    TF_Tensor *found = NULL;
    if (good(call)) TF_GetInput(call->context, index, &found, call->status);
    return found ? call->tensors[call->number++] = found : NULL;
}

typedef struct {
    int rank;
    int64_t of[6];
} Shape;
#define SHAPE(...)                                                        \
    (Shape) {                                                             \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__} \
    }
#define NONE SHAPE(0) /* of an array that is not there */

static Shape shape_of(const TF_Tensor *tensor) {
    Shape shape = {tensor ? TF_NumDims(tensor) : 0, {0}};
    for (int i = 0; i < shape.rank && i < 6; i++) shape.of[i] = TF_Dim(tensor, i);
    return shape;
}

static bool same(Shape a, Shape b) {
    return a.rank == b.rank && !memcmp(a.of, b.of, sizeof(int64_t) * a.rank);
}

static const char *text_of(Shape shape, char text[128]) {
    int length = snprintf(text, 128, "(");
    for (int i = 0; i < shape.rank && i < 6; i++)
        length += snprintf(text + length, 128 - length, i ? ", %lld" : "%lld",
                           (long long)shape.of[i]);
    snprintf(text + length, 128 - length, shape.rank == 1 ? ",)" : ")");
    return text;
}

/* The values of a tensor that must have this shape, since the loops read as much. NULL where its
 * shape is another, or where there is nothing to read. */
static const void *values(Call *call, const TF_Tensor *found, const char *name, Shape expected) {
    char one[128], other[128];
    if (!found) return NULL;
    if (!same(shape_of(found), expected)) {
        fail(call, TF_INVALID_ARGUMENT, "%s of shape %s, expected %s", name,
             text_of(shape_of(found), one), text_of(expected, other));
        return NULL;
    }
    return expected.of[0] ? TF_TensorData(found) : NULL;
}

static const void *input(Call *call, int index, const char *name, Shape expected) {
    return values(call, tensor(call, index), name, expected);
}

/* Room for an output. NULL after an error, and where there is nothing to write. */
static float *output(Call *call, int index, Shape shape) {
    size_t bytes = sizeof(float);
    bool excessive = false;
    for (int i = 0; i < shape.rank; i++)
        excessive |= __builtin_mul_overflow(bytes, (size_t)shape.of[i], &bytes);
    excessive |= __builtin_add_overflow(call->bytes, bytes, &call->bytes);
    check_memory(call, excessive || exceeds_memory(call->bytes) || refused_by_system(bytes));
    TF_Tensor *made = NULL;
    if (good(call))
        made = TF_AllocateOutput(call->context, index, TF_FLOAT, shape.of, shape.rank, bytes,
                                 call->status);
    if (made) call->tensors[call->number++] = made;
    return made && bytes ? TF_TensorData(made) : NULL;
}

/* --- what forward and backward share -------------------------------------------------------- */

/* x and the mask, of every layer. */
static Loop read_inputs(Call *call) {
    Loop p = {.joined = call->attributes[JOINED] ? 2 : 1,
              .zero_masked = (int32_t)call->attributes[ZERO_MASKED]};
    TF_Tensor *x = tensor(call, 0), *mask = tensor(call, 1);
    if (!x || !mask) return p;
    if (TF_NumDims(x) != 3) {
        fail(call, TF_INVALID_ARGUMENT, "%d dimensions of x, expected (batch, time, inputs)",
             TF_NumDims(x));
        return p;
    }
    p.rows = TF_Dim(x, 0), p.steps = TF_Dim(x, 1), p.inputs = TF_Dim(x, 2);
    p.x = TF_TensorData(x);
    p.mask = same(shape_of(mask), NONE) ? NULL : values(call, mask, "mask", SHAPE(p.rows, p.steps));
    return p;
}

/* Where layer i has its array in a list of inputs, or of outputs. */
static int input_of(const Call *call, int list, int i) {
    return SHARED + list * (int)call->attributes[NUMBER] + i;
}

static int output_of(const Call *call, int list, int i) {
    return list * (int)call->attributes[NUMBER] + i;
}

/* What layer i reads, its weights among it. */
static Loop read_layer(Call *call, Loop p, int i) {
    const int cell = (int)call->attributes[CELL];
    TF_Tensor *kernel = tensor(call, input_of(call, KERNEL, i));
    TF_Tensor *recurrent = tensor(call, input_of(call, RECURRENT, i));
    TF_Tensor *bias = tensor(call, input_of(call, BIAS, i));
    p.reverse = call->attributes[REVERSE] >> i & 1, p.second = call->attributes[JOINED] && i;
    if (!good(call)) return p;
    p.units = TF_NumDims(recurrent) ? TF_Dim(recurrent, 0) : 0;
    const int64_t columns = gates_of(cell) * p.units;
    p.kernel = values(call, kernel, "kernel", SHAPE(p.inputs, columns));
    p.recurrent = values(call, recurrent, "recurrent kernel", SHAPE(p.units, columns));
    if (cell == GRU && TF_NumDims(bias) == 2) {
        p.bias = values(call, bias, "bias", SHAPE(2, columns));
        if (p.bias) p.state_bias = p.bias + columns;
    } else {
        p.bias = values(call, bias, "bias", SHAPE(columns));
    }
    return p;
}

static Shape states(const Loop *p) { return SHAPE(p->rows, p->units); }

static Shape c_states(const Loop *p, int cell) { return cell == LSTM ? states(p) : NONE; }

static Shape outputs(const Loop *p) { return SHAPE(p->rows, p->steps, p->joined * p->units); }

static Shape tape_shape(const Loop *p, int cell) {
    return SHAPE(p->rows, p->steps, panels_of(p->units), slots_of(cell), 8);
}

/* --- the kernels -------------------------------------------------------------------------- */

static Loop forward_layer(Call *call, Loop p, int i, float *first_out) {
    const int cell = (int)call->attributes[CELL];
    const bool sequences = call->attributes[SEQUENCES];
    p = read_layer(call, p, i);
    p.h0 = input(call, input_of(call, FORWARD_H0, i), "state h", states(&p));
    p.c0 = input(call, input_of(call, FORWARD_C0, i), "state c", c_states(&p, cell));
    const Shape shape = p.second ? NONE : sequences ? outputs(&p) : states(&p);
    float *shown = output(call, output_of(call, OUTPUTS, i), shape);
    if (sequences) p.out = p.second ? first_out : shown;
    else p.last = shown;
    p.h = output(call, output_of(call, FINAL_H, i), states(&p));
    p.c = output(call, output_of(call, FINAL_C, i), c_states(&p, cell));
    p.tape = output(call, output_of(call, TAPE, i),
                    call->attributes[KEEP] ? tape_shape(&p, cell) : NONE);
    return p;
}

void compute_forward(void *attributes, Context *context) {
    const int64_t *how = attributes;
    const int layers = (int)how[NUMBER];
    Call call = begin(context, how);
    const Loop read = read_inputs(&call);
    Loop loops[MAX_LAYERS];
    for (int i = 0; i < layers; i++)
        loops[i] = forward_layer(&call, read, i, i ? loops[0].out : NULL);
    if (good(&call))
        check_memory(&call, kerasrnn_loops(loops, layers, (int)how[CELL], 0, (int)how[THREADS]));
    end(&call);
}

static Loop backward_layer(Call *call, Loop p, int i) {
    const int cell = (int)call->attributes[CELL];
    p = read_layer(call, p, i);
    const TF_Tensor *gradient = tensor(call, input_of(call, D_OUTPUTS, p.second ? 0 : i));
    const bool sequences = shape_of(gradient).rank == 3;
    const float *d_shown = values(call, gradient, "gradient of outputs",
                                  sequences ? outputs(&p) : states(&p));
    if (sequences) p.d_out = d_shown;
    else p.d_last = d_shown;
    p.d_h = input(call, input_of(call, D_H, i), "gradient of state h", states(&p));
    p.d_c = input(call, input_of(call, D_C, i), "gradient of state c", c_states(&p, cell));
    p.tape = (float *)input(call, input_of(call, BACKWARD_TAPE, i), "tape", tape_shape(&p, cell));
    const int64_t columns = gates_of(cell) * p.units, width = gate_width_of(p.units, cell);
    p.d_sums = output(call, output_of(call, D_SUMS, i), SHAPE(p.rows, p.steps, width));
    p.d_kernel = output(call, output_of(call, D_KERNEL, i), SHAPE(p.inputs, columns));
    p.d_recurrent = output(call, output_of(call, D_RECURRENT, i), SHAPE(p.units, columns));
    p.d_bias = output(call, output_of(call, D_BIAS, i),
                      p.state_bias ? SHAPE(2, columns) : SHAPE(columns));
    if (p.state_bias && p.d_bias) p.d_state_bias = p.d_bias + columns;
    p.d_h0 = output(call, output_of(call, D_H0, i), states(&p));
    p.d_c0 = output(call, output_of(call, D_C0, i), c_states(&p, cell));
    if (cell == GRU && good(call)) {
        p.d_state_sums = allocate(p.rows * p.steps * width);
        check_memory(call, !p.d_state_sums);
    }
    return p;
}

void compute_backward(void *attributes, Context *context) {
    const int64_t *how = attributes;
    const int layers = (int)how[NUMBER];
    Call call = begin(context, how);
    const Loop read = read_inputs(&call);
    Loop loops[MAX_LAYERS];
    for (int i = 0; i < layers; i++) loops[i] = backward_layer(&call, read, i);
    if (good(&call))
        check_memory(&call, kerasrnn_loops(loops, layers, (int)how[CELL], 1, (int)how[THREADS]));
    for (int i = 0; i < layers; i++) free(loops[i].d_state_sums);
    end(&call);
}

void compute_inputs_gradient(void *attributes, Context *context) {
    const int64_t *how = attributes;
    const int cell = (int)how[CELL], layers = (int)how[NUMBER];
    Call call = begin(context, how);
    TF_Tensor *d_sums[MAX_LAYERS], *kernels[MAX_LAYERS];
    for (int i = 0; i < layers; i++) {
        d_sums[i] = tensor(&call, output_of(&call, INPUTS_D_SUMS, i)); /* nothing is shared */
        kernels[i] = tensor(&call, output_of(&call, INPUTS_KERNEL, i));
    }
    const Shape gradient = shape_of(d_sums[0]);
    const int64_t rows = gradient.of[0], steps = gradient.of[1], inputs = shape_of(kernels[0]).of[0];
    const float *sums[MAX_LAYERS], *weights[MAX_LAYERS];
    int64_t units[MAX_LAYERS];
    for (int i = 0; i < layers; i++) {
        units[i] = shape_of(kernels[i]).of[1] / gates_of(cell);
        sums[i] = values(&call, d_sums[i], "gradient of gate sums",
                         SHAPE(rows, steps, gate_width_of(units[i], cell)));
        weights[i] = values(&call, kernels[i], "kernel", SHAPE(inputs, gates_of(cell) * units[i]));
    }
    float *d_x = output(&call, 0, SHAPE(rows, steps, inputs));
    if (good(&call) && d_x)
        check_memory(&call, kerasrnn_inputs(d_x, rows * steps, inputs, units, cell, sums, weights,
                                            layers, (int)how[THREADS]));
    end(&call);
}
