//! The options that a runner is loaded with, and which differences force a reload.

use crate::model::Model;

/// Load options as a request gives them; `None` means absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadOptions {
    pub(crate) num_ctx: Option<i64>,
    pub(crate) num_batch: Option<i64>,
    pub(crate) num_gpu: Option<i64>,
    pub(crate) main_gpu: Option<i64>,
    pub(crate) use_mmap: Option<bool>,
    pub(crate) num_thread: Option<i64>,
    pub(crate) draft_num_predict: Option<i64>,
    pub(crate) shift: Option<bool>,
}

/// Load options with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(super) num_ctx: i64,
    num_batch: i64,
    num_gpu: i64,
    main_gpu: i64,
    use_mmap: Option<bool>,
    num_thread: i64,
    draft_num_predict: i64,
    shift: bool,
}

impl LoadOptions {
    /// What a runner of `model` gets when `context` is the default.
    pub(crate) fn effective(&self, model: &Model, context: i64) -> Effective {
        let Self {
            num_batch,
            num_gpu,
            main_gpu,
            use_mmap,
            num_thread,
            draft_num_predict,
            ..
        } = self;
        let num_ctx = self.num_ctx.or(model.spec.num_ctx).unwrap_or(context);
        Effective {
            num_ctx: num_ctx.max(4).min(model.spec.trained_context),
            num_batch: num_batch.unwrap_or(512),
            num_gpu: num_gpu.unwrap_or(-1),
            main_gpu: main_gpu.unwrap_or(0),
            use_mmap: *use_mmap,
            num_thread: num_thread.unwrap_or(0),
            draft_num_predict: draft_num_predict.unwrap_or(0),
            shift: self.shift.unwrap_or(true),
        }
    }
}

impl Effective {
    /// The option because of which a runner loaded like this cannot serve `wanted`.
    pub(super) fn reload_for(&self, wanted: &Self) -> Option<&'static str> {
        let Self {
            num_ctx,
            num_batch,
            num_gpu,
            main_gpu,
            use_mmap,
            num_thread,
            draft_num_predict,
            shift,
        } = self;
        let differs = [
            ("num_ctx", *num_ctx != wanted.num_ctx),
            ("num_batch", *num_batch != wanted.num_batch),
            // Below zero the request leaves the number to the server, which keeps what it has.
            ("num_gpu", wanted.num_gpu >= 0 && *num_gpu != wanted.num_gpu),
            ("main_gpu", *main_gpu != wanted.main_gpu),
            ("use_mmap", *use_mmap != wanted.use_mmap),
            ("num_thread", *num_thread != wanted.num_thread),
            (
                "draft_num_predict",
                *draft_num_predict != wanted.draft_num_predict,
            ),
            ("shift", *shift != wanted.shift),
        ];
        differs
            .into_iter()
            .find_map(|(name, differs)| differs.then_some(name))
    }
}
