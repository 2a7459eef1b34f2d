//! The model's sizes, parameters and values.

/// The sizes of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) dims: usize,
    pub(crate) batch: usize,
    /// After the last y is left out: 2 points - 1.
    pub(crate) tokens: usize,
    pub(crate) loops: usize,
    pub(crate) window: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// The first token that keeps its state from loop to loop.
    pub(crate) kept_from: usize,
}

impl Shape {
    pub(crate) const STUDY: Self = Self {
        width: 256,
        heads: 8,
        dims: 20,
        batch: 64,
        tokens: 81,
        loops: 30,
        window: 20,
        positions: 203,
        kept_from: 0,
    };

    pub(crate) const fn rows(&self) -> usize {
        self.batch * self.tokens
    }

    pub(crate) const fn points(&self) -> usize {
        self.tokens.div_ceil(2)
    }

    /// Name and sides of every parameter, in the order of the flat buffers: those whose gradients one sum gives stand
    /// together.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, Vec<usize>)> {
        let d = self.width;
        vec![
            ("_backbone.transformer.h.0.ln_1.weight", vec![d]),
            ("_backbone.transformer.h.0.ln_1.bias", vec![d]),
            ("_backbone.transformer.ln_f.weight", vec![d]),
            ("_backbone.transformer.ln_f.bias", vec![d]),
            ("_read_out.weight", vec![1, d]),
            ("_backbone.transformer.h.0.ln_2.weight", vec![d]),
            ("_backbone.transformer.h.0.ln_2.bias", vec![d]),
            ("_backbone.transformer.h.0.attn.c_attn.weight", vec![3 * d, d]),
            ("_backbone.transformer.h.0.attn.c_attn.bias", vec![3 * d]),
            ("_backbone.transformer.h.0.attn.c_proj.weight", vec![d, d]),
            ("_backbone.transformer.h.0.attn.c_proj.bias", vec![d]),
            ("_backbone.transformer.h.0.mlp.c_fc.weight", vec![4 * d, d]),
            ("_backbone.transformer.h.0.mlp.c_fc.bias", vec![4 * d]),
            ("_backbone.transformer.h.0.mlp.c_proj.weight", vec![d, 4 * d]),
            ("_backbone.transformer.h.0.mlp.c_proj.bias", vec![d]),
            ("_backbone.transformer.wpe.weight", vec![self.positions, d]),
            ("_read_in.weight", vec![d, self.dims]),
            ("_read_in.bias", vec![d]),
            ("_read_out.bias", vec![1]),
        ]
    }
}

/// What a step starts from.
pub(crate) struct Values {
    /// One for each parameter, in their order.
    pub(crate) parameters: Vec<Vec<f32>>,
    /// (batch, tokens, dims): x_1, (y_1, 0, ..., 0), x_2, ...
    pub(crate) tokens: Vec<f32>,
    /// (batch, points).
    pub(crate) targets: Vec<f32>,
}

/// The tokens and targets of prompts xs (batch, points, dims), ys (batch, points).
pub(crate) fn interleave(shape: Shape, xs: &[f32], ys: &[f32]) -> Vec<f32> {
    let (points, dims) = (shape.points(), shape.dims);
    let mut tokens = Vec::with_capacity(shape.rows() * dims);
    for row in 0..shape.rows() {
        let (prompt, token) = (row / shape.tokens, row % shape.tokens);
        let point = prompt * points + token / 2;
        if token % 2 == 0 {
            tokens.extend_from_slice(&xs[point * dims..(point + 1) * dims]);
        } else {
            tokens.push(ys[point]);
            tokens.resize(tokens.len() + dims - 1, 0.0);
        }
    }
    tokens
}

impl Values {
    /// Weights as they start in training, prompts of linear regression.
    pub(crate) fn random(shape: Shape) -> Self {
        let mut state = 1_u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        // The sum of 12 uniform numbers is nearly normal.
        let mut normal = |std: f32| std * ((0..12).map(|_| uniform()).sum::<f32>() - 6.0);
        let parameters = shape.parameters().into_iter().map(|(name, sides)| {
            let len = sides.iter().product();
            let std = if name.contains("_read") { 0.1 } else { 0.02 };
            let norm = name.contains(".ln_");
            match (norm, name.ends_with("bias")) {
                (true, false) => vec![1.0; len],
                (_, true) => vec![0.0; len],
                _ => (0..len).map(|_| normal(std)).collect(),
            }
        });
        let parameters = parameters.collect();
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for _ in 0..shape.batch {
            let weights: Vec<f32> = (0..shape.dims).map(|_| normal(1.0)).collect();
            for _ in 0..shape.points() {
                let x: Vec<f32> = weights.iter().map(|_| normal(1.0)).collect();
                ys.push(x.iter().zip(&weights).map(|(x, w)| x * w).sum());
                xs.extend(x);
            }
        }
        Self { parameters, tokens: interleave(shape, &xs, &ys), targets: ys }
    }
}
