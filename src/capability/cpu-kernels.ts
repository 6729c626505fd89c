/**
 * Element types of the newest CPU kernels of ONNX Runtime 1.30.0, one operator a line: `op constraint=types`. Made by test/bench/cpu-kernels.mjs
 * from the runtime's own registry; do not edit.
 */
export const cpuKernels = `
Abs T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64
Acos T=f32
Acosh T=f32
Add T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64
Affine T=f32
AffineGrid T1=f32,f64 T2=s64
And T=bool T1=bool
ArgMax T=f32,f64,s8,u8,s32,s64
ArgMin T=f32,f64,s32,s64,s8,u8
Asin T=f32
Asinh T=f32
Atan T=f32
Atanh T=f32
Attention T1=f32,f16 T2=f32,f16 U=bool,f32,f16
AveragePool T=f32
BatchNormalization T=f32,f64 T1=f32,f64 T2=f32,f64
BitCast T1=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64,f16,bf16 T2=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64,f16,bf16
BitShift T=u8,u32,u64
BitwiseAnd T=s8,s16,s32,s64,u8,u16,u32,u64
BitwiseNot T=s8,s16,s32,s64,u8,u16,u32,u64
BitwiseOr T=s8,s16,s32,s64,u8,u16,u32,u64
BitwiseXor T=s8,s16,s32,s64,u8,u16,u32,u64
BlackmanWindow T1=s32,s64 T2=f32,f64,u8,u16,u32,u64,s8,s16,s32,s64
Cast T1=bool,s32,s64,f32,f64,u64,u32,s16,u16,s8,u8,f16,bf16,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),u4,s4,tensor(uint2),tensor(int2),tensor(float8e8m0) T2=bool,s32,s64,f32,f64,u64,u32,s16,u16,s8,u8,f16,bf16,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),u4,s4,tensor(uint2),tensor(int2),tensor(float8e8m0)
Ceil T=f32,f64
Celu T=f32
Clip T=f32,f16,f64,s8,u8,s32,u32,s64,u64
Col2Im T=f32
Compress T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str T1=bool
Concat T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
ConcatFromSequence S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
ConstantOfShape T1=s64 T2=bf16,f16,f32,f64,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),s8,s16,s32,s64,u8,u16,u32,u64,bool
Conv T=f32
ConvInteger T1=u8,s8 T2=u8,s8 T3=s32
ConvTranspose T=f32
Cos T=f32,f64
Cosh T=f32
Crop T=f32
CumProd T=f32,f64,s32,s64,u32,u64 T2=s32,s64
CumSum T=f32,f64,s32,s64 T2=s32,s64
DFT T1=f32,f64 T2=s32,s64
DeformConv T=f32,f64
DepthToSpace T=f32,f64,u8,s8
DequantizeLinear T1=u8,s8,u16,s16,s32,s4,u4,tensor(int2),tensor(uint2),tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz) T2=f32,f16
Det T=f32
Div T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64
Dropout T=f32,f64 T1=f32,f64 T2=bool
DynamicQuantizeLinear T2=u8
DynamicSlice T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
Einsum T=f32,f64,s64,s32
Elu T=f32
Equal T=bool,s8,s16,s32,s64,u8,u16,u32,u64,f32,f64,str T1=bool
Erf T=f32
Exp T=f32,f64
Expand T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64,bool,f16,str
EyeLike T1=f32,f64,u64,s64,s32 T2=f32,f64,u64,s64,s32
Flatten T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
Floor T=f32,f64
GRU T=f32,f64 T1=s32
Gather T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
GatherElements T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
GatherND T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str indices=s64
Gelu T=f32
Gemm T=f32,f64
GlobalAveragePool T=f32
GlobalLpPool T=f32
GlobalMaxPool T=f32
Greater T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64 T1=bool
GreaterOrEqual T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64 T1=bool
GridSample T1=f32,f64 T2=f32,f64
HammingWindow T1=s32,s64 T2=f32,f64,u8,u16,u32,u64,s8,s16,s32,s64
HannWindow T1=s32,s64 T2=f32,f64,u8,u16,u32,u64,s8,s16,s32,s64
HardSigmoid T=f32
Hardmax T=f32
Identity V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)),seq(tensor(float8e4m3fn)),seq(tensor(float8e4m3fnuz)),seq(tensor(float8e5m2)),seq(tensor(float8e5m2fnuz)),optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string)))
If B=bool V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)),seq(tensor(float8e4m3fn)),seq(tensor(float8e4m3fnuz)),seq(tensor(float8e5m2)),seq(tensor(float8e5m2fnuz)),optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string)))
ImageScaler T=f32
InstanceNormalization T=f32
IsInf T1=f32,f64,f16,bf16,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz) T2=bool
IsNaN T1=f32,f64,f16,bf16,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz) T2=bool
LRN T=f32
LSTM T=f32,f64 T1=s32
LayerNormalization T=f32,f64,f16,bf16 U=f32
LeakyRelu T=f32
Less T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64 T1=bool
LessOrEqual T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64 T1=bool
Log T=f32,f64
LogSoftmax T=f32,f64
Loop B=bool I=s64 V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)),seq(tensor(float8e4m3fn)),seq(tensor(float8e4m3fnuz)),seq(tensor(float8e5m2)),seq(tensor(float8e5m2fnuz)),optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string)))
LpNormalization T=f32,f64
LpPool T=f32
MatMul T=f32,f64,s32,u32,s64,u64
MatMulInteger T1=u8,s8 T2=u8,s8 T3=s32
Max T=s32,s64,f32,f64,f16,s8,u32,u8,u64
MaxPool I=s64 T=f64,f32,s8,u8
MaxRoiPool T=f32
MaxUnpool T1=f32 T2=s64
Mean T=f32
MeanVarianceNormalization T=f32
MelWeightMatrix T1=s32,s64 T2=f32 T3=f32,f64,u8,u16,u32,u64,s8,s16,s32,s64
MemcpyFromHost T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(float8e4m3fn)),seq(tensor(float8e4m3fnuz)),seq(tensor(float8e5m2)),seq(tensor(float8e5m2fnuz))
MemcpyToHost T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(float8e4m3fn)),seq(tensor(float8e4m3fnuz)),seq(tensor(float8e5m2)),seq(tensor(float8e5m2fnuz))
Min T=s32,s64,f32,f64,f16,s8,u32,u8,u64
Mod T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16
Mul T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64
Multinomial T1=f32 T2=s32,s64
Neg T=f32,f64,s8,s16,s32,s64
NonMaxSuppression
NonZero T=bool,f32,s32,s64,u8
Not T=bool
OneHot T1=s64,f32,s32 T2=s64,f32,s32 T3=s64,str,f32,s32
Optional O=optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string))) V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
OptionalGetElement O=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)),optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string))) V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
OptionalHasElement B=bool O=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)),optional(tensor(float)),optional(tensor(double)),optional(tensor(int64)),optional(tensor(uint64)),optional(tensor(int32)),optional(tensor(uint32)),optional(tensor(int16)),optional(tensor(uint16)),optional(tensor(int8)),optional(tensor(uint8)),optional(tensor(float16)),optional(tensor(bfloat16)),optional(tensor(bool)),optional(tensor(string)),optional(seq(tensor(float))),optional(seq(tensor(double))),optional(seq(tensor(int64))),optional(seq(tensor(uint64))),optional(seq(tensor(int32))),optional(seq(tensor(uint32))),optional(seq(tensor(int16))),optional(seq(tensor(uint16))),optional(seq(tensor(int8))),optional(seq(tensor(uint8))),optional(seq(tensor(float16))),optional(seq(tensor(bfloat16))),optional(seq(tensor(bool))),optional(seq(tensor(string)))
Or T=bool T1=bool
PRelu T=f32
Pad T=s32,s64,f32,f64,u32,u64,s8,u8,bool
ParametricSoftplus T=f32
Pow T=s32,s64,f32,f64 T1=s32,s64,f32,f64
QLinearConv T1=u8,s8 T2=u8,s8 T3=u8,s8 T4=s32
QLinearMatMul T1=u8,s8 T2=u8,s8 T3=u8,s8 TS=f32
QuantizeLinear T1=f32,f16 T2=f32,f16 T3=u8,s8,u16,s16,s4,u4,tensor(int2),tensor(uint2),tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz)
RMSNormalization T=f32,f64,f16 V=f32,f64,f16
RNN T=f32 T1=s32
RandomNormal T=f32,f64
RandomNormalLike T1=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str T2=f32,f64
RandomUniform T=f32,f64
RandomUniformLike T1=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str T2=f32,f64
Range T=s32,s64,f32,f64,s16
Reciprocal T=f32,f64
ReduceL1 T=f32,f64,s32,s64
ReduceL2 T=f32,f64,s32,s64
ReduceLogSum T=f32,f64,s32,s64
ReduceLogSumExp T=f32,f64,s32,s64
ReduceMax T=bool,f32,f64,s32,s64,s8,u8
ReduceMean T=f32,f64,s32,s64
ReduceMin T=bool,f32,f64,s32,s64,s8,u8
ReduceProd T=f32,f64,s32,s64
ReduceSum T=f32,s32,f64,s64
ReduceSumSquare T=f32,s32,f64,s64
RegexFullMatch T1=str T2=bool
Relu T=f32,f64,s8,s32
Reshape T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz) shape=s64
Resize T1=f32,s32,s8,u8
ReverseSequence T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
RoiAlign T1=f32,f64 T2=s64
RotaryEmbedding M=s64 T=f32,f16
Round T=f32,f64,f16
STFT T1=f32,f64 T2=s32,s64
Scale T=f32
ScaledTanh T=f32
Scan V=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz)
Scatter
ScatterElements T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
ScatterND T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
Selu T=f32
SequenceAt I=s32,s64 S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)) T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
SequenceConstruct S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)) T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
SequenceEmpty S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
SequenceErase I=s32,s64 S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
SequenceInsert I=s32,s64 S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
SequenceLength I=s64 S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string))
Shape T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz) T1=s64
Shrink T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16
Sigmoid T=f32,f64
Sign T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16
SimplifiedLayerNormalization T=f32,f64,f16,bf16 U=f32 V=f32,f64,f16,bf16
Sin T=f32,f64
Sinh T=f32
Size T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64,str,bool T1=s64
Slice T=s32,s64,f32,f64,u64,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
Softmax T=f64,f32
Softplus T=f32
Softsign T=f32
SpaceToDepth T=f32,f64,u8,s8
Split T=s32,s64,f32,f64,u64,u32,s16,u16,s8,u8,f16,bf16,bool,str
SplitToSequence I=s32,s64 S=seq(tensor(float)),seq(tensor(double)),seq(tensor(int64)),seq(tensor(uint64)),seq(tensor(int32)),seq(tensor(uint32)),seq(tensor(int16)),seq(tensor(uint16)),seq(tensor(int8)),seq(tensor(uint8)),seq(tensor(float16)),seq(tensor(bfloat16)),seq(tensor(bool)),seq(tensor(string)) T=f32,f16,f64,s32,s64,bool,str
Sqrt T=f32,f64
Squeeze T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
StringConcat T=str
StringNormalizer X=str
StringSplit T1=str T2=str T3=s64
Sub T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64
Sum T=f32,f64
Tan T=f32
Tanh T=f32,f64
TensorScatter T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool
TfIdfVectorizer T=str,s32,s64 T1=f32
ThresholdedRelu T=f32
Tile T=f32,f64,s8,s16,s32,s64,u8,u16,u32,u64,str,bool T1=s64
TopK I=s64 T=f32,f64,s64,s32,s8,s16,u8
Transpose T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str,tensor(float8e4m3fn),tensor(float8e4m3fnuz),tensor(float8e5m2),tensor(float8e5m2fnuz),u4,s4,tensor(uint2),tensor(int2)
Trilu T=f32,f64,s32,s64,bool
Unique T=f32,s64,s8,str,f64
Unsqueeze T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
Upsample
Where T=str,f32,f64,s32,s64,u8
Xor T=bool T1=bool
com.microsoft.Attention T=f32
com.microsoft.AttnLSTM T=f32,f64 T1=s32
com.microsoft.BeamSearch T=f32
com.microsoft.BiasGelu T=f32
com.microsoft.BifurcationDetector T=s64
com.microsoft.CDist T=f32,f64
com.microsoft.CausalConvWithState T=f32
com.microsoft.ConvTransposeWithDynamicPads T=f32
com.microsoft.CropAndResize T1=f32 T2=s32
com.microsoft.DecoderMaskedMultiHeadAttention T=f32
com.microsoft.DequantizeLinear T1=u8,s8,u16,s16,s32,u4,s4 T2=f32
com.microsoft.DynamicQuantizeLSTM T=f32 T1=s32 T2=u8,s8
com.microsoft.DynamicQuantizeMatMul T1=f32 T2=u8,s8
com.microsoft.DynamicTimeWarping F=f32 I=s32
com.microsoft.EmbedLayerNormalization T=f32
com.microsoft.EngramGate T=f32,f16
com.microsoft.ExpandDims T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str axis=s32
com.microsoft.FastGelu T=f32
com.microsoft.FusedConv T=f32
com.microsoft.FusedGemm T=f32
com.microsoft.FusedMatMul T=f32,f64
com.microsoft.GatedAdd T=f32,f16
com.microsoft.GatedRMSNorm T=f32,f16
com.microsoft.GatherBlockQuantized T1=u8,u4,s4 T2=f32,f16 Tind=s32,s64
com.microsoft.GatherND T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str Tind=s32,s64
com.microsoft.Gelu T=f32
com.microsoft.GreedySearch T=f32
com.microsoft.GridSample T1=f32 T2=f32
com.microsoft.GroupQueryAttention M=s32 T=f32,f16 T_CACHE=f32,u8,s8,f16 T_KV_SCALE=f32
com.microsoft.Inverse T=f32,f64,f16
com.microsoft.LinearAttention T=f32
com.microsoft.LinearAttentionGate T=f32,f16 TF=f32
com.microsoft.MRotaryEmbedding M=s64 T=f32,f16
com.microsoft.MatMulBnb4 T1=f32 T2=u8
com.microsoft.MatMulFpQ4 T1=f32 T2=u8 T3=s64
com.microsoft.MatMulInteger16 T1=s16 T2=s16 T3=s32
com.microsoft.MatMulIntegerToFloat T1=u8,s8 T2=u8,s8 T3=f32
com.microsoft.MatMulNBits T1=f32,f16 T2=u8 T3=u8,f32,f16 T4=s32
com.microsoft.MaxpoolWithMask T=f32
com.microsoft.MoE T=f32
com.microsoft.MultiHeadAttention T=f32
com.microsoft.MurmurHash3 T1=s32,u32,s64,u64,f32,f64,str T2=s32,u32
com.microsoft.NGramHashMapping M=s32,s64
com.microsoft.NGramRepeatBlock T=f32 Tid=s64
com.microsoft.NhwcMaxPool T=s8,u8
com.microsoft.Pad T=f32
com.microsoft.QAttention T1=u8 T2=u8,s8 T3=f32 T4=s32
com.microsoft.QEmbedLayerNormalization T=f32
com.microsoft.QGemm T=f32 TA=s8,u8 TB=s8,u8 TC=s32 TY=f32,s8,u8 TYZ=s8,u8
com.microsoft.QLinearAdd T=u8,s8
com.microsoft.QLinearAveragePool
com.microsoft.QLinearConcat
com.microsoft.QLinearConv T1=u8,s8 T2=u8,s8 T3=u8,s8 T4=s32
com.microsoft.QLinearGlobalAveragePool
com.microsoft.QLinearLeakyRelu T=u8,s8
com.microsoft.QLinearMul T=u8,s8
com.microsoft.QLinearSigmoid T=u8,s8
com.microsoft.QLinearSoftmax T=u8,s8
com.microsoft.QLinearWhere T=u8,s8
com.microsoft.QMoE T=f16,f32 T1=u8 T2=f16,f32
com.microsoft.QuantizeLinear T1=f32 T2=u8,s8,u16,s16,u4,s4
com.microsoft.QuickGelu T=f32
com.microsoft.Range T=s32,s64,f32,f64,s16
com.microsoft.RotaryEmbedding M=s64 T=f32,f16
com.microsoft.SampleOp T=f32
com.microsoft.Sampling T=f32
com.microsoft.SkipLayerNormalization T=f32,f64,f16,bf16
com.microsoft.SkipSimplifiedLayerNormalization T=f32,f64,f16,bf16
com.microsoft.SparseAttention M=s32 T=f32,f16
com.microsoft.SparseToDenseMatMul T=sparse_tensor(float),sparse_tensor(double),sparse_tensor(int32),sparse_tensor(int64),sparse_tensor(uint32),sparse_tensor(uint64) T1=f32,f64,s32,s64,u32,u64
com.microsoft.Tokenizer T=str
com.microsoft.TransposeMatMul T=f32
com.microsoft.Trilu T=f32,f64,s64
com.microsoft.UnfoldTensor T=f32,f64,s64,u64,s32,u32,s16,u16,s8,u8,f16,bf16,bool,str
com.microsoft.Unique T=f32
com.microsoft.WhisperBeamSearch T=f32
com.microsoft.WordConvEmbedding T=s32 T1=f32
`;
