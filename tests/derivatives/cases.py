"""Small functions of f64 that together use every op with a derivative: what tests of all modes run."""

from __future__ import annotations


def function(inputs: str, result: str, value: str, *lines: str) -> str:
    """A file of one function."""
    body = "".join(f"  {line}\n" for line in lines)
    return f"fn main({inputs}) -> {result} {{\n{body}  return {value}\n}}\n"


UNARY = (
    "-x",
    "abs(x)",
    "exp(x)",
    "sin(x)",
    "cos(x)",
    "tanh(x)",
    "sigmoid(x)",
    "erf(x)",
    "relu(x)",
    "silu(x)",
    "gelu(x)",
    'gelu(x, approximate="tanh")',
    "softplus(x)",
    "leaky_relu(x)",
    "elu(x)",
    "relu6(x)",
    "hardsigmoid(x)",
    "hardswish(x)",
    "log_sigmoid(x)",
    "mish(x)",
    "clamp(x,-0.5,0.5)",
    "expm1(x)",
    "tan(x)",
    "atan(x)",
    "square(x)",
    "reciprocal(x)",
    "exp2(x)",
    "softmax(x)",
    "log_softmax(x, axis=0)",
    "cumsum(x)",
    "cumsum(x,axis=0,reverse=true)",
    "cumsum(x,axis=1,exclusive=true)",
    "cumprod(x)",
    "cumprod(x,axis=0,reverse=true)",
    "cumprod(x,axis=1,exclusive=true)",
    "cummax(x)",
    "cummin(x,axis=0,reverse=true)",
    "cummax(x,axis=1,reverse=true)",
    "minimum(cummin(x,exclusive=true),9.0)",
    "flip(x)",
    "flip(x,[1])",
    "roll(x,1)",
    "roll(x,-2,1)",
    "tril(x)",
    "triu(x,1)",
    "sort(x)",
    "sort(x,axis=0,descending=true)",
    "x**3",
    "2.0**x",
    "x % 0.7",
    "floor(x)+x",
    "maximum(x,0.3)",
    "minimum(x,0.3)",
    "log(x*x+1)",
    "log1p(x*x)",
    "sqrt(x*x+1)",
    "rsqrt(x*x+1)",
    "log2(x*x+1)",
    "x/(x*x+1)",
    "where(x>0,x*x,-x)",
)
"""Expressions of x, from f64[3, 4] to f64[3, 4]."""

CASES: dict[str, str] = {
    **{e: function("x: f64[3, 4]", "f64[3, 4]", e) for e in UNARY},
    "a+b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "a+b"),
    "a-b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "a-b"),
    "a*b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "a*b"),
    "a/b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "a/b"),
    "maximum(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "maximum(a,b)"),
    "minimum(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "minimum(a,b)"),
    "atan2(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "atan2(a,b)"),
    "a % b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "a % b"),
    "abs(a)**b": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "abs(a)**b"),
    "squared_error(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "squared_error(a,b)"),
    "absolute_error(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "absolute_error(a,b)"),
    "huber(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "huber(a,b)"),
    "huber(a,b,0.3)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "huber(a,b,0.3)"),
    "binary_cross_entropy(a,b)": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "binary_cross_entropy(a,b)"),
    "kl_divergence(a,abs(b))": function("a: f64[3,4], b: f64[4]", "f64[3,4]", "kl_divergence(a,abs(b))"),
    "sum1": function("x: f64[3,4,2]", "f64[3,2]", "sum(x,axis=1)"),
    "sum02k": function("x: f64[3,4,2]", "f64[1,4,1]", "sum(x,axis=[0,2],keepdims=true)"),
    "mean1": function("x: f64[3,4,2]", "f64[3,2]", "mean(x,axis=1)"),
    "mean02k": function("x: f64[3,4,2]", "f64[1,4,1]", "mean(x,axis=[0,2],keepdims=true)"),
    "max1": function("x: f64[3,4,2]", "f64[3,2]", "max(x,axis=1)"),
    "max02k": function("x: f64[3,4,2]", "f64[1,4,1]", "max(x,axis=[0,2],keepdims=true)"),
    "min1": function("x: f64[3,4,2]", "f64[3,2]", "min(x,axis=1)"),
    "min02k": function("x: f64[3,4,2]", "f64[1,4,1]", "min(x,axis=[0,2],keepdims=true)"),
    "prod1": function("x: f64[3,4,2]", "f64[3,2]", "prod(x,axis=1)"),
    "prod02k": function("x: f64[3,4,2]", "f64[1,4,1]", "prod(x,axis=[0,2],keepdims=true)"),
    "var1": function("x: f64[3,4,2]", "f64[3,2]", "var(x,axis=1)"),
    "var02k": function("x: f64[3,4,2]", "f64[1,4,1]", "var(x,axis=[0,2],keepdims=true)"),
    "std1": function("x: f64[3,4,2]", "f64[3,2]", "std(x,axis=1)"),
    "std02k": function("x: f64[3,4,2]", "f64[1,4,1]", "std(x,axis=[0,2],keepdims=true)"),
    "logsumexp1": function("x: f64[3,4,2]", "f64[3,2]", "logsumexp(x,axis=1)"),
    "logsumexp02k": function("x: f64[3,4,2]", "f64[1,4,1]", "logsumexp(x,axis=[0,2],keepdims=true)"),
    "l21": function("x: f64[3,4,2]", "f64[3,2]", "l2(x,axis=1)"),
    "l202k": function("x: f64[3,4,2]", "f64[1,4,1]", "l2(x,axis=[0,2],keepdims=true)"),
    "matmul": function("a: f64[3,4], b: f64[4,5]", "f64[3,5]", "a@b"),
    "matmulb": function("a: f64[2,3,4], b: f64[4,5]", "f64[2,3,5]", "a@b"),
    "matmulbb": function("a: f64[2,1,3,4], b: f64[5,4,2]", "f64[2,5,3,2]", "a@b"),
    "matmulv": function("a: f64[4], b: f64[4,5]", "f64[5]", "a@b"),
    "matmulv2": function("a: f64[2,3,4], b: f64[4]", "f64[2,3]", "a@b"),
    "dot": function("a: f64[4], b: f64[4]", "f64", "a@b"),
    "matmulbv": function("a: f64[4], b: f64[2,4,3]", "f64[2,3]", "a@b"),
    "reshape": function("x: f64[3,4]", "f64[2,6]", "reshape(x,[2,-1])"),
    "transpose": function("x: f64[3,4,2]", "f64[2,3,4]", "transpose(x,[2,0,1])"),
    "broadcast": function("x: f64[3,1]", "f64[2,3,4]", "broadcast(x,[2,3,4])"),
    "concat": function("a: f64[3,4], b: f64[2,4]", "f64[8,4]", "concat(a,b,a,axis=0)"),
    "slice": function("x: f64[6,5]", "f64[3,2]", "x[1:6:2, 1:3]"),
    "slice2": function("x: f64[6,5]", "f64[6]", "x[:,-1]"),
    "slice3": function("x: f64[6,5]", "f64[6,3]", "x[:,::2]"),
    "split": function("x: f64[6,5]", "(f64[3,5],f64[3,5])", "b*2,a*b", "a,b = split(x,2)"),
    "split1": function("x: f64[6,5]", "f64[3,5]", "b*2", "a,b = split(x,2)"),
    "padconstant": function("x: f64[4,3]", "f64[7,6]", 'pad(x,[1,2,2,1],mode="constant")'),
    "padedge": function("x: f64[4,3]", "f64[7,6]", 'pad(x,[1,2,2,1],mode="edge")'),
    "padreflect": function("x: f64[4,3]", "f64[7,6]", 'pad(x,[1,2,2,1],mode="reflect")'),
    "padwrap": function("x: f64[4,3]", "f64[7,6]", 'pad(x,[1,2,2,1],mode="wrap")'),
    "tile": function("x: f64[4,3]", "f64[8,9]", "tile(x,[2,3])"),
    "gather": function("x: f64[4,3], i: i32[5]", "f64[5,3]", "gather(x,i)"),
    "gather1": function("x: f64[4,3], i: i32[2,2]", "f64[4,2,2]", "gather(x,i-4,axis=1)"),
    "gathernd": function("x: f64[4,3,2], i: i32[5,2]", "f64[5,2]", "gather_nd(x,i)"),
    "takealong": function("x: f64[4,3], i: i32[4,2]", "f64[4,2]", "take_along(x,i)"),
    "scatterset": function("x: f64[4,3], i: i32[5], u: f64[5,3]", "f64[4,3]", 'scatter(x,i,u,mode="set")'),
    "scatteroset": function("x: f64[2,3], i: i32[5], u: f64[5,3]", "f64[2,3]", 'scatter(x,i,u,mode="set")'),
    "scatter1set": function(
        "x: f64[4,3], i: i32[5], u: f64[4,5]", "f64[4,3]", 'scatter(x,i,u,axis=1,mode="set")'
    ),
    "scatterndset": function(
        "x: f64[4,3,2], i: i32[5,2], u: f64[5,2]", "f64[4,3,2]", 'scatter_nd(x,i,u,mode="set")'
    ),
    "scatteraset": function(
        "x: f64[4,3], i: i32[4,3], u: f64[4,3]", "f64[4,3]", 'scatter_along(x,i,u,mode="set")'
    ),
    "scatteradd": function("x: f64[4,3], i: i32[5], u: f64[5,3]", "f64[4,3]", 'scatter(x,i,u,mode="add")'),
    "scatteroadd": function("x: f64[2,3], i: i32[5], u: f64[5,3]", "f64[2,3]", 'scatter(x,i,u,mode="add")'),
    "scatter1add": function(
        "x: f64[4,3], i: i32[5], u: f64[4,5]", "f64[4,3]", 'scatter(x,i,u,axis=1,mode="add")'
    ),
    "scatterndadd": function(
        "x: f64[4,3,2], i: i32[5,2], u: f64[5,2]", "f64[4,3,2]", 'scatter_nd(x,i,u,mode="add")'
    ),
    "scatteraadd": function(
        "x: f64[4,3], i: i32[4,3], u: f64[4,3]", "f64[4,3]", 'scatter_along(x,i,u,mode="add")'
    ),
    "scattermul": function("x: f64[4,3], i: i32[5], u: f64[5,3]", "f64[4,3]", 'scatter(x,i,u,mode="mul")'),
    "scatteromul": function("x: f64[2,3], i: i32[5], u: f64[5,3]", "f64[2,3]", 'scatter(x,i,u,mode="mul")'),
    "scatter1mul": function(
        "x: f64[4,3], i: i32[5], u: f64[4,5]", "f64[4,3]", 'scatter(x,i,u,axis=1,mode="mul")'
    ),
    "scatterndmul": function(
        "x: f64[4,3,2], i: i32[5,2], u: f64[5,2]", "f64[4,3,2]", 'scatter_nd(x,i,u,mode="mul")'
    ),
    "scatteramul": function(
        "x: f64[4,3], i: i32[4,3], u: f64[4,3]", "f64[4,3]", 'scatter_along(x,i,u,mode="mul")'
    ),
    "scattermax": function("x: f64[4,3], i: i32[5], u: f64[5,3]", "f64[4,3]", 'scatter(x,i,u,mode="max")'),
    "scatteromax": function("x: f64[2,3], i: i32[5], u: f64[5,3]", "f64[2,3]", 'scatter(x,i,u,mode="max")'),
    "scatter1max": function(
        "x: f64[4,3], i: i32[5], u: f64[4,5]", "f64[4,3]", 'scatter(x,i,u,axis=1,mode="max")'
    ),
    "scatterndmax": function(
        "x: f64[4,3,2], i: i32[5,2], u: f64[5,2]", "f64[4,3,2]", 'scatter_nd(x,i,u,mode="max")'
    ),
    "scatteramax": function(
        "x: f64[4,3], i: i32[4,3], u: f64[4,3]", "f64[4,3]", 'scatter_along(x,i,u,mode="max")'
    ),
    "scattermin": function("x: f64[4,3], i: i32[5], u: f64[5,3]", "f64[4,3]", 'scatter(x,i,u,mode="min")'),
    "scatteromin": function("x: f64[2,3], i: i32[5], u: f64[5,3]", "f64[2,3]", 'scatter(x,i,u,mode="min")'),
    "scatter1min": function(
        "x: f64[4,3], i: i32[5], u: f64[4,5]", "f64[4,3]", 'scatter(x,i,u,axis=1,mode="min")'
    ),
    "scatterndmin": function(
        "x: f64[4,3,2], i: i32[5,2], u: f64[5,2]", "f64[4,3,2]", 'scatter_nd(x,i,u,mode="min")'
    ),
    "scatteramin": function(
        "x: f64[4,3], i: i32[4,3], u: f64[4,3]", "f64[4,3]", 'scatter_along(x,i,u,mode="min")'
    ),
    "topk": function("x: f64[4,5]", "f64[4,2]", "v", "v,i = top_k(x,2)"),
    "pixelshuffle": function("x: f64[1,4,2,2]", "f64[1,1,4,4]", "pixel_shuffle(x,2)"),
    "rn": function("x: f64[1,2,3,3]", "f64[1,2,5,7]", "resize_nearest(x,[5,7])"),
    "rb": function("x: f64[1,2,3,3]", "f64[1,2,5,7]", "resize_bilinear(x,[5,7])"),
    "conv": function("x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]", "f64[2,4,3,3]", "conv2d(x,w,b)"),
    "convp": function(
        "x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]", "f64[2,4,5,5]", "conv2d(x,w,b, padding=1)"
    ),
    "convs": function(
        "x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]",
        "f64[2,4,3,2]",
        "conv2d(x,w,b, padding=1, stride=[2,3])",
    ),
    "convd": function(
        "x: f64[2,3,5,5], w: f64[4,3,2,2], b: f64[4]",
        "f64[2,4,5,5]",
        "conv2d(x,w,b, padding=[1,1],dilation=2)",
    ),
    "convpp": function(
        "x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]", "f64[2,4,7,7]", "conv2d(x,w,b, padding=2)"
    ),
    "convP": function(
        "x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]", "f64[2,4,9,9]", "conv2d(x,w,b, padding=3)"
    ),
    "convsame": function(
        "x: f64[2,3,5,5], w: f64[4,3,3,3], b: f64[4]",
        "f64[2,4,3,3]",
        'conv2d(x,w,b, padding="same", stride=2)',
    ),
    "convg": function("x: f64[2,4,5,5], w: f64[6,2,3,3]", "f64[2,6,5,5]", "conv2d(x,w,padding=1,groups=2)"),
    "convgs": function(
        "x: f64[2,4,5,5], w: f64[6,2,3,3]", "f64[2,6,3,3]", "conv2d(x,w,padding=1,groups=2,stride=2)"
    ),
    "dw": function("x: f64[2,4,5,5], w: f64[4,1,3,3]", "f64[2,4,5,5]", "conv2d(x,w,padding=1,groups=4)"),
    "conv1d": function("x: f64[2,3,6], w: f64[4,3,3]", "f64[2,4,3]", "conv1d(x,w,padding=1,stride=2)"),
    "conv3d": function("x: f64[1,2,3,3,3], w: f64[2,2,2,2,2]", "f64[1,2,2,2,2]", "conv3d(x,w)"),
    "ct2": function(
        "x: f64[1,2,3,3], w: f64[2,3,3,3]",
        "f64[1,3,6,6]",
        "conv_transpose2d(x,w,stride=2,padding=1,output_padding=1)",
    ),
    "ct1": function("x: f64[1,2,3], w: f64[2,3,3]", "f64[1,3,7]", "conv_transpose1d(x,w,stride=2)"),
    "max_pool2d(x,2)": function("x: f64[2,2,4,4]", "f64[2,2,2,2]", "max_pool2d(x,2)"),
    "avg_pool2d(x,2)": function("x: f64[2,2,4,4]", "f64[2,2,2,2]", "avg_pool2d(x,2)"),
    "max_pool2d(x,3,2,1)": function("x: f64[2,2,5,5]", "f64[2,2,3,3]", "max_pool2d(x,3,2,1)"),
    "avg_pool2d(x,3,2,1)": function("x: f64[2,2,5,5]", "f64[2,2,3,3]", "avg_pool2d(x,3,2,1)"),
    "avg_pool2d(x,3,2,1,false)": function("x: f64[2,2,5,5]", "f64[2,2,3,3]", "avg_pool2d(x,3,2,1,false)"),
    "global_avg_pool(x)": function("x: f64[2,2,4,4]", "f64[2,2,1,1]", "global_avg_pool(x)"),
    "global_max_pool(x)": function("x: f64[2,2,4,4]", "f64[2,2,1,1]", "global_max_pool(x)"),
    "adaptive_avg_pool2d(x,3)": function("x: f64[2,2,4,5]", "f64[2,2,3,3]", "adaptive_avg_pool2d(x,3)"),
    "adaptive_max_pool2d(x,3)": function("x: f64[2,2,4,5]", "f64[2,2,3,3]", "adaptive_max_pool2d(x,3)"),
    "einsum": function("a: f64[2,3,4], b: f64[2,4,5]", "f64[3,2]", 'einsum(a,b,spec="bij,bjk->ib")'),
    "attn": function("q: f64[2,3,4], k: f64[2,5,4], v: f64[2,5,6]", "f64[2,3,6]", "attention(q,k,v)"),
    "attnc": function(
        "q: f64[2,3,4], k: f64[2,5,4], v: f64[2,5,6]", "f64[2,3,6]", "attention(q,k,v,causal=true)"
    ),
    "attnc2": function(
        "q: f64[2,5,4], k: f64[2,3,4], v: f64[2,3,6]", "f64[2,5,6]", "attention(q,k,v,causal=true)"
    ),
    "attnm": function(
        "q: f64[2,3,4], k: f64[2,5,4], v: f64[2,5,6], m: f64[3,5]", "f64[2,3,6]", "attention(q,k,v,m)"
    ),
    "attnb": function(
        "q: f64[2,3,4], k: f64[2,5,4], v: f64[2,5,6], m: f64[3,5]", "f64[2,3,6]", "attention(q,k,v,m>0)"
    ),
    "ln": function("x: f64[2,3,4], s: f64[4], b: f64[4]", "f64[2,3,4]", "layer_norm(x,s,b)"),
    "rms": function("x: f64[2,3,4], s: f64[4]", "f64[2,3,4]", "rms_norm(x,s)"),
    "rotary": function("x: f64[2,3,4], c: f64[3,2], s: f64[4]", "f64[2,3,4]", "rotary_embedding(x,c,s)"),
    "rotary2": function(
        "x: f64[2,3,4], c: f64[3,2], s: f64[4]", "f64[2,3,4]", "rotary_embedding(x,c,s,interleaved=true)"
    ),
    "bn": function(
        "x: f64[2,3,4], s: f64[3], b: f64[3], m: f64[3], v: f64[3]", "f64[2,3,4]", "batch_norm(x,s,b,m,v*v)"
    ),
    "gn": function("x: f64[2,4,3], s: f64[4], b: f64[4]", "f64[2,4,3]", "group_norm(x,s,b,2)"),
    "ce": function("x: f64[4,3], l: i32[4]", "f64[4]", "cross_entropy(x,l)"),
    "chol": function(
        "x: f64[3,3]", "f64[3,3]", "cholesky(x @ transpose(x,[1,0]) + 3.0*one_hot(iota([3]),3,dtype=f64))"
    ),
    "cholraw": function(
        "x: f64[2,3,3]", "f64[2,3,3]", "cholesky(x*0.1 + 3.0*one_hot(iota([3]),3,dtype=f64))"
    ),
    "tsl": function(
        "a: f64[2,3,3], b: f64[2,3,2]",
        "f64[2,3,2]",
        "triangular_solve(a+4.0*one_hot(iota([3]),3,dtype=f64),b)",
    ),
    "tsu": function(
        "a: f64[2,3,3], b: f64[2,3,2]",
        "f64[2,3,2]",
        "triangular_solve(a+4.0*one_hot(iota([3]),3,dtype=f64),b,lower=false)",
    ),
    "ix mm": function("a: f64[3,4], b: f64[4,5]", "f64[3,5]", "y", "y[i,f] = sum(j) a[i,j]*b[j,f]"),
    "ix sten": function("u: f64[6]", "f64[4]", "y", "y[i] = u[i-1] - 2*u[i]*u[i+1]"),
    "ix zero": function(
        "u: f64[5,6]",
        "f64[5,6]",
        "y",
        "y[i,j] = u[i-1,j]*u[i+1,j] + sin(u[i,j-1]) + u[i,j+2] - 4*u[i,j], boundary=zero",
    ),
    "ix clamp": function(
        "u: f64[5,6]",
        "f64[5,6]",
        "y",
        "y[i,j] = u[i-1,j]*u[i+1,j] + sin(u[i,j-1]) + u[i,j+2] - 4*u[i,j], boundary=clamp",
    ),
    "ix wrap": function(
        "u: f64[5,6]",
        "f64[5,6]",
        "y",
        "y[i,j] = u[i-1,j]*u[i+1,j] + sin(u[i,j-1]) + u[i,j+2] - 4*u[i,j], boundary=wrap",
    ),
    "ix reflect": function(
        "u: f64[5,6]",
        "f64[5,6]",
        "y",
        "y[i,j] = u[i-1,j]*u[i+1,j] + sin(u[i,j-1]) + u[i,j+2] - 4*u[i,j], boundary=reflect",
    ),
    "ix value(0.5)": function(
        "u: f64[5,6]",
        "f64[5,6]",
        "y",
        "y[i,j] = u[i-1,j]*u[i+1,j] + sin(u[i,j-1]) + u[i,j+2] - 4*u[i,j], boundary=value(0.5)",
    ),
    "ix conv": function("u: f64[8], w: f64[3]", "f64[6]", "y", "y[i] = sum(k) u[i+k]*w[k]"),
    "ix stride": function("u: f64[8]", "f64[4]", "y", "y[i] = maximum(u[2*i], u[2*i+1])"),
    "ix diag": function("u: f64[4,4]", "f64[4]", "y", "y[i] = u[i,i]*u[3-i,i]"),
    "ix const": function("u: f64[4,4], v: f64[5]", "f64[5]", "y", "y[i] = u[1,2]*v[i]*u[0,0]"),
    "ix gather": function("t: f64[6,3], n: i32[5]", "f64[5,3]", "r", "r[n_,f] = t[n[n_],f]*2"),
    "ix gather2": function(
        "t: f64[6,3], n: i32[5]", "f64[5]", "r", "r[i] = sum(f) t[n[i]+i-1,f]**2, boundary=zero"
    ),
    "ix max": function("a: f64[3,4]", "f64[3]", "y", "y[i] = max(j) a[i,j]*a[i,j]"),
    "ix prod": function("a: f64[3,4]", "f64[3]", "y", "y[i] = prod(j) a[i,j]"),
    "ix sm": function("y: f64[3,4]", "f64[3]", "p", "p[i] = exp(y[i, 0]) / (sum(f) exp(y[i, f]))"),
    "ix fn": function(
        "y: f64[3,4]",
        "f64[3,4]",
        "p",
        "p[i,j] = sigmoid(y[i,j])*gelu(y[i,j]) + where(i < j, 0, y[i,j]**2) + cast(i, f64)*silu(y[i,j]) + y[i,j] % 0.7",
    ),
    "ix total": function("y: f64[3,4]", "f64", "t", "t = sum(i, f) y[i, f] ** 2"),
    "ix skew": function("y: f64[6,4]", "f64[3,4]", "p", "p[i,j] = y[i+j, j]*y[2*i+1, 3-j]"),
    "ix div": function("y: f64[6]", "f64[6]", "p", "p[i] = y[i] * y[i / 2] * y[(i * 5) % 6], boundary=clamp"),
    "for": function("u: f64[5], w: f64[5]", "f64[5]", "u", "for t in 0..4 with u {", "u = sin(u)*w + u", "}"),
    "for0": function(
        "u: f64[5], w: f64[5]", "f64[5]", "u*w", "for t in 0..0 with u {", "u = sin(u)*w + u", "}"
    ),
    "for2": function(
        "u: f64[5], w: f64[5]", "f64[5]", "u", "for t in 2..5 with u {", "u = sin(u)*w + u*cast(t,f64)", "}"
    ),
    "forcollect": function(
        "x: f64[4,3], w: f64[3,3], u: f64[3,3]",
        "(f64[3],f64[4,3])",
        "h,y",
        "h = zeros([3],f64)",
        "for t in 0..4 with h collect y {",
        "h = tanh(h@w + x[t]@u)",
        "y = 2*h",
        "}",
    ),
    "fordyn": function(
        "u: f64[5], n: i32", "f64[5]", "u", "for t in 0..minimum(n+1,6) with u {", "u = sin(u) + u*u", "}"
    ),
    "fordyn2": function(
        "u: f64[5], n: i32",
        "f64[5]",
        "u",
        "for t in minimum(maximum(n-1,-1),1)..cast(minimum(n+1,6),i64) with u {",
        "u = sin(u) + u*u*cast(t,f64)",
        "}",
    ),
    "fornest": function(
        "u: f64[5], w: f64[5]",
        "f64[5]",
        "u",
        "for t in 0..3 with u {",
        "for s in 0..2 with u {",
        "u = sin(u*w)",
        "}",
        "u = u*w",
        "}",
    ),
    "while": function(
        "a: f64",
        "f64",
        "x",
        "x = maximum(a*a, 1)+1",
        "while abs(x*x-a) > 1e-1 max 50 with x {",
        "x = (x + a/x)/2",
        "}",
    ),
    "if": function(
        "x: f64[4], m: i32",
        "f64[4]",
        "y",
        "y=x",
        "if m == 0 with y {",
        "y = x*x",
        "} else if m == 1 with y {",
        "y = softmax(y)",
        "} else {",
        "y = cumsum(x)*y",
        "}",
    ),
    "ifin": function(
        "u: f64[5], w: f64[5]",
        "f64[5]",
        "u",
        "for t in 0..4 with u {",
        "if sum(u) > 0 with u {",
        "u = sin(u)*w",
        "} else {",
        "u = u + w",
        "}",
        "}",
    ),
    "reuse": function("x: f64[3]", "f64[3]", "y*x + y", "y = x*x*x"),
    "none": function("x: f64[3], z: f64[2]", "f64[3]", "x*2"),
    "self": function("x: f64[3]", "(f64[3], f64[3])", "x, x"),
}
"""Programs by what they are about."""
