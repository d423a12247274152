"""The published formulas of DCLS kernels in PyTorch, evaluated as the published package evaluates them: whole-number cells of the window, the
window's dimensions first and elements last in one tensor of all of them, normalised, weighted and summed, anew on every call. Written from
the papers (arXiv 2112.03740, 2306.00817), the package's layout of tensors, and what this project's golden data says about axis order; two
dimensions, v1, max and gauss."""
import torch


class PublishedKernel:
    """weight [out, in / groups, K], P (and SIG) [2, out, in / groups, K] or [2, in / groups, K]; calling it gives the dense kernel."""

    def __init__(self, version, size, weight, positions, spreads=None):
        self.version, self.weight, self.P, self.SIG = version, weight, positions, spreads
        rows, columns = size
        elements = positions.shape[1:]
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        # index 0 of P addresses columns, index 1 rows; the window's sides keep their own order
        cells = torch.stack((column, row)).permute(1, 2, 0)
        self.cells = cells.reshape([rows, columns, 2] + [1] * len(elements)).expand(-1, -1, -1, *elements)
        self.centre = torch.tensor([rows // 2, columns // 2]).reshape([2] + [1] * len(elements))

    def __call__(self):
        distance = self.cells - (self.P + self.centre)
        if self.version == "v1":
            x = (1 - distance.abs()).relu().prod(2)
        elif self.version == "max":
            x = (self.SIG.abs() + 1 - distance.abs()).relu().prod(2)
        else:
            x = (-0.5 * (distance / (self.SIG.abs() + 0.27)).norm(2, dim=2) ** 2).exp()
        x = x / (x.sum((0, 1)) + 1e-7)
        if self.P.dim() == 3:  # shared by all outputs
            x = x.unsqueeze(2)
        return (x * self.weight).sum(-1).permute(2, 3, 0, 1)
